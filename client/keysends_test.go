package client_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// slowToClose closes as a connection does whose peer has to answer.
type slowToClose struct{ transport.Conn }

func (s slowToClose) Close(status transport.Status, reason string) error {
	time.Sleep(100 * time.Millisecond)
	return s.Conn.Close(status, reason)
}

// That a client or its connection ends while the key is loaded says nothing about the key.
func TestEndWhileKeyIsLoaded(t *testing.T) {
	for _, closes := range []bool{false, true} {
		for call := range int32(2) {
			bubble(t, func(t *testing.T) {
				n := newNetwork(t)
				n.serve(server.Options{})
				keys := &loading{load: func(c int32) error {
					if c == call+1 {
						time.Sleep(5 * time.Second)
					}
					return errors.New("disk is busy")
				}}
				dialer := dialerFunc(func(ctx context.Context, o transport.DialOptions) (transport.Conn, error) {
					conn, err := n.Dial(ctx, o)
					if err == nil {
						conn = slowToClose{conn}
					}
					return conn, err
				})
				var bad []error
				var log bytes.Buffer
				c := client.New(dialer, client.Options{
					Keys: keys, Logger: slog.New(slog.NewTextHandler(&log, nil)),
					GiveUp: func(error) bool { time.Sleep(time.Millisecond); return false },
					Hooks: client.Hooks{OnSessionError: func(_ context.Context, err error) {
						if err.Error() != "disk is busy" {
							bad = append(bad, err)
						}
					}},
				})
				go c.Connect(t.Context())
				for keys.calls.Load() <= call {
					time.Sleep(100 * time.Millisecond)
				}
				if closes {
					c.Close()
				} else {
					n.away()
					n.near().Cut()
				}
				time.Sleep(time.Minute)
				c.Close()
				time.Sleep(time.Minute)
				synctest.Wait()
				if len(bad) > 0 || strings.Contains(log.String(), "client: closed") || strings.Contains(log.String(), "has not returned") {
					t.Errorf("closed %v, call %d: %v\n%s", closes, call, bad, &log)
				}
			})
		}
	}
}

// A connection that has lost its socket before it could be used is away once it can be.
func TestAwayBeforeItIsOpen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		srv := n.serve(server.Options{ResumeWindow: window})
		keys := &loading{load: func(int32) error { time.Sleep(3 * time.Second); return nil }}
		d := new(diary)
		c := n.client(client.Options{Keys: keys, Hooks: d.client()})
		go c.Connect(t.Context())
		time.Sleep(time.Second)
		n.away()
		n.near().Cut()
		time.Sleep(10 * time.Second)
		if s := c.Status(); s != client.Resuming {
			t.Errorf("without a socket it is %v", s)
		}
		d.want(t, "c: connected", "c: away")
		n.reachable(srv)
		time.Sleep(time.Minute)
		if s := c.Status(); s != client.Connected {
			t.Errorf("it is %v", s)
		}
		d.want(t, "c: back")
	})
}

// What a server says about a session key is logged without the key.
func TestKeyIsNotLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		var log bytes.Buffer
		keys := &loading{load: func(int32) error { return nil }}
		keys.key = strings.Repeat("K", 40)
		c := dial(t, ln, client.Options{Keys: keys, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		go c.Connect(t.Context())
		conn, err := ln.Accept(transport.AcceptOptions{Protocols: []string{protocol.V3_0.Token()}})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Abort()
		p := &peer{t, conn, protocol.V3_0}
		welcome(t, conn, protocol.Conf{ReadTimeout: time.Hour}, time.Minute)
		m := p.receive()
		for m.Kind != protocol.RestoreSession {
			m = p.receive()
		}
		failed := protocol.FailureError{Code: 99, Executed: protocol.ExecutedNo, Text: "cannot read " + m.Payload.Text()}
		p.send(failed.Message(m.ID))
		synctest.Wait()
		if text := log.String(); !strings.Contains(text, "cannot read") || strings.Contains(text, keys.key) {
			t.Error(text)
		}
	})
}

// The time that a request waited is that of its context, if that is what ended.
func TestWaitedWithinContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		n.serve(server.Options{ResumeWindow: window})
		c := n.client(client.Options{Timeout: time.Minute})
		connect(t, c)
		n.away()
		n.near().Cut()
		time.Sleep(5 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := c.Request(ctx, "r", text("x"))
		var late *client.TimeoutError
		if !errors.As(err, &late) || late.After != 2*time.Second {
			t.Errorf("%v", err)
		}
	})
}

// A request that is cancelled while the client is about to move was not sent.
func TestCancelledWhileLeaving(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _, _, _, _ := drained(t, window, client.Options{Logger: discard}, protocol.DrainBody{Grace: time.Hour})
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := c.Request(ctx, "r", text("x")); !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "client: not sent: ") {
			t.Error(err)
		}
	})
}
