package client_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// published is the dialer to a published server, which negotiates nothing.
type published struct {
	*memory.Listener
	metadata string // empty: refuses the method, as servers of 2.0
}

func (p published) Probe(context.Context, transport.DialOptions) ([]byte, error) {
	if p.metadata == "" {
		return nil, &transport.RefusedError{StatusCode: 400}
	}
	return []byte(p.metadata), nil
}

// Servers of 1.5 and 2.0 hear something at least every three quarters of their read
// timeout: a heartbeat if there is nothing else to say. Others never hear one.
func TestHeartbeats(t *testing.T) {
	const timeout = time.Second
	for name, test := range map[string]struct {
		version  protocol.Version
		metadata string
		beats    bool
	}{
		"1.2": {protocol.V1_2, `{"protocol-version":"1.2"}`, false},
		"1.3": {protocol.V1_3, `{"protocol-version":"1.3"}`, false},
		"1.4": {protocol.V1_4, `{"protocol-version":"1.4"}`, false},
		"1.5": {protocol.V1_5, `{"protocol-version":"1.5","read-timeout":1}`, true},
		"2.0": {protocol.V2_0, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := memory.Listen()
				defer ln.Close()
				c := client.New(published{ln, test.metadata}, client.Options{Versions: protocol.Versions()})
				defer c.Close()
				connected := make(chan error, 1)
				go func() { connected <- c.Connect(context.Background()) }()
				conn, err := ln.Accept(transport.AcceptOptions{Limits: transport.Limits{ReadTimeout: 24 * time.Hour}})
				if err != nil {
					t.Fatal(err)
				}
				if manners.Of(test.version).Conf {
					msg, err := test.version.Append(nil, protocol.Conf{Version: test.version, ReadTimeout: timeout}.Message())
					if err == nil {
						err = conn.Write(msg)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if err := <-connected; err != nil {
					t.Fatal(err)
				}

				began, last, beats := time.Now(), time.Now(), 0
				stop := time.AfterFunc(time.Hour, func() { _ = conn.Abort() })
				defer stop.Stop()
				for {
					b, err := conn.Read(nil)
					if err != nil {
						break
					}
					if len(b) != 1 || b[0] != 33 {
						t.Fatalf("got %x", b)
					}
					if silent := time.Since(last); silent > timeout*3/4 {
						t.Fatalf("silent for %v", silent)
					}
					last = time.Now()
					beats++
				}
				if lasted := time.Since(began); lasted < time.Hour {
					t.Errorf("the connection lasted for %v", lasted)
				}
				if (beats > 0) != test.beats || beats > 4*int(time.Hour/timeout) {
					t.Errorf("%d heartbeats in an hour", beats)
				}
			})
		})
	}
}
