package server_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// Serve returns after the last handler and hook of its connections, also of one that has no
// socket any more.
func TestServeWaitsForConnsThatAreAway(t *testing.T) {
	for _, resumed := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			var over atomic.Int32
			srv := resuming(server.Hooks{
				OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
					time.Sleep(time.Minute)
					over.Add(1)
					return protocol.Payload{}, nil
				},
				OnClientDisconnected: func(*server.Conn, error) {
					time.Sleep(time.Minute)
					over.Add(1)
				},
			})
			ln := memory.Listen()
			served := make(chan error, 1)
			go func() { served <- srv.Serve(ln) }()
			conn, err := ln.Dial(t.Context(), transport.DialOptions{Protocols: []string{protocol.V3_0.Token()}})
			if err != nil {
				t.Fatal(err)
			}
			p := &peer{t: t, conn: conn, version: protocol.V3_0}
			p.send(protocol.HelloBody{}.Message())
			p.next(protocol.AcceptConf)
			w, err := p.next(protocol.Welcome).Welcome()
			if err != nil {
				t.Fatal(err)
			}
			p.request(1, "", "x")
			synctest.Wait()
			_ = conn.Abort()
			synctest.Wait()
			if resumed { // on a socket that is not Serve's
				p, _ := back(t, srv, claim(w, 1, 0))
				p.lose()
			}
			if n := srv.Stats().Away; n != 1 {
				t.Fatalf("%d connections are away", n)
			}
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
			if err := <-served; !errors.Is(err, server.ErrServerClosed) {
				t.Error(err)
			}
			if n := over.Load(); n != 2 {
				t.Errorf("Serve returned after %d of a handler and a hook", n)
			}
			began := time.Now()
			if err := srv.Shutdown(t.Context()); err != nil || time.Since(began) > 0 {
				t.Errorf("Shutdown afterwards: %v after %v", err, time.Since(began))
			}
		})
	}
}

// The context of ServeConn is that of the connection, also after the socket has ended.
func TestContextEndsAConnThatIsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cause := errors.New("enough")
		reasons := make(chan error, 1)
		srv := resuming(server.Hooks{OnClientDisconnected: func(_ *server.Conn, reason error) { reasons <- reason }})
		ctx, cancel := context.WithCancelCause(context.Background())
		p, w := welcomed(t, ctx, srv, protocol.HelloBody{}, protocol.OutcomeFresh)
		p.lose()
		p, w = back(t, srv, claim(w, 1, 0))
		p.lose()
		cancel(cause)
		synctest.Wait()
		select {
		case reason := <-reasons:
			if reason != cause {
				t.Errorf("the connection ended because %v", reason)
			}
		default:
			t.Error("the connection goes on")
		}
		refused(t, srv, claim(w, 2, 0), protocol.OutcomeExpired)
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}
