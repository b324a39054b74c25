package memory_test

import (
	"sync"
	"testing"

	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/transporttest"
)

func TestConn(t *testing.T)           { transporttest.Run(t, harness(true)) }
func TestConnInRealTime(t *testing.T) { transporttest.Run(t, harness(false)) }

func harness(bubble bool) transporttest.Harness {
	return transporttest.Harness{
		Bubble: bubble,
		Pair: func(t *testing.T, a, b transport.Limits) (transport.Conn, transport.Conn) {
			return pair(t, transport.DialOptions{Limits: a}, transport.AcceptOptions{Limits: b})
		},
		Negotiate: func(t *testing.T, offer, supported []string) (transport.Conn, transport.Conn) {
			return pair(t, transport.DialOptions{Protocols: offer}, transport.AcceptOptions{Protocols: supported})
		},
	}
}

// pair returns the two ends of a new connection.
func pair(t testing.TB, dial transport.DialOptions, accept transport.AcceptOptions) (dialled, accepted transport.Conn) {
	t.Helper()
	ln := memory.Listen()
	var accepting sync.WaitGroup
	accepting.Go(func() { accepted, _ = ln.Accept(accept) })
	dialled, err := ln.Dial(t.Context(), dial)
	if err != nil {
		t.Fatal(err)
	}
	accepting.Wait()
	return dialled, accepted
}
