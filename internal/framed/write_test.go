package framed

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// A write fails when the network has accepted nothing for the timeout, at most 1/32 of it
// later: the writer to a socket looks at steps, any other has one deadline.
func TestLateWrite(t *testing.T) {
	const limit = 10 * time.Second
	for name, c := range map[string]struct {
		socket bool
		reads  []time.Duration // when the peer reads another 100 bytes of 10,000
	}{
		"socket, nothing is read":   {true, nil},
		"socket, read at once":      {true, []time.Duration{0}},
		"socket, read just after":   {true, []time.Duration{time.Millisecond}},
		"socket, read until a step": {true, []time.Duration{limit/32 - time.Millisecond}},
		"socket, read now and then": {true, []time.Duration{9 * time.Second, 15 * time.Second, 24 * time.Second}},
		"other, nothing is read":    {false, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			defer far.Close()
			conn := new(Conn)
			conn.Init("test", Wire{Reader: near, Writer: near, Net: near}, controlFrames{}, transport.Limits{WriteTimeout: limit})
			conn.socket = c.socket
			began := time.Now()
			last := time.Duration(0)
			var reading sync.WaitGroup
			reading.Go(func() {
				for _, at := range c.reads {
					time.Sleep(at - time.Since(began))
					if _, err := io.ReadFull(far, make([]byte, 100)); err != nil {
						t.Error(err)
						return
					}
					last = at
				}
			})
			sent, err := conn.write(make([]byte, 10_000))
			took := time.Since(began)
			reading.Wait()
			if !errors.Is(err, os.ErrDeadlineExceeded) || sent != 100*len(c.reads) {
				t.Errorf("%s: %d bytes sent, %v", name, sent, err)
			}
			if late := took - last - limit; late < 0 || late > limit/32+time.Millisecond {
				t.Errorf("%s: late by %v", name, late)
			}
		})
	}
}
