package server_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// What is sent to a client that is away arrives when it comes back, in order. Requests are
// answered, or end in time.
func TestSendingWhileAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := resuming(server.Hooks{})
		p, w := first(t, srv)
		p.lose()
		c := only(t, srv)
		if st := srv.Stats(); st.Open != 1 || st.Away != 1 || st.Resumes != 0 {
			t.Errorf("%d connections, %d away", st.Open, st.Away)
		}
		for i := range 10 {
			if i%2 == 0 {
				if err := c.Signal(t.Context(), fmt.Sprint(i), protocol.Text("x")); err != nil {
					t.Error(err)
				}
			} else if n, err := server.Broadcast(srv.Conns(), fmt.Sprint(i), protocol.Text("x")); n != 1 || err != nil {
				t.Errorf("sent %d, %v", n, err)
			}
		}
		asked := make(chan error, 1)
		go func() {
			reply, err := c.Request(t.Context(), "ask", protocol.Text("x"))
			if err == nil && reply.Text() != "y" {
				err = fmt.Errorf("the reply is %q", reply.Text())
			}
			asked <- err
		}()
		synctest.Wait()
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Request(ctx, "late", protocol.Text("x")); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		time.Sleep(time.Second)
		p, _ = back(t, srv, claim(w, 1, 0))
		synctest.Wait()
		if st := srv.Stats(); st.Open != 1 || st.Away != 0 || st.Resumes != 1 {
			t.Errorf("%d connections, %d away", st.Open, st.Away)
		}
		for i := range 10 {
			if m := p.receive(); m.Kind != protocol.Signal || m.Name != fmt.Sprint(i) {
				t.Fatalf("got %v %q, want signal %d", m.Kind, m.Name, i)
			}
		}
		ask, late := p.receive(), p.receive()
		if ask.Name != "ask" || late.Name != "late" {
			t.Fatalf("got %q and %q", ask.Name, late.Name)
		}
		if left, ok := late.Head.Deadline(); !ok || left != 0 {
			t.Errorf("the request has %v left", left)
		}
		if cancel, err := p.receive().Cancel(); err != nil || cancel.ID != late.ID {
			t.Errorf("the request is not cancelled: %v", err)
		}
		p.send(protocol.Message{Kind: protocol.Reply, ID: ask.ID, Payload: protocol.Text("y")})
		if err := <-asked; err != nil {
			t.Error(err)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

// What ends a connection while its client is away ends it at once, also its handlers, and
// the client gets a new one.
func TestEndingWhileAway(t *testing.T) {
	for name, test := range map[string]struct {
		end    func(*server.Server, *server.Conn)
		reason error
		back   bool // there is an OnClientBack
		goesOn bool
	}{
		"Close":                      {func(_ *server.Server, c *server.Conn) { c.Close(4500, "x") }, server.ErrConnClosed, false, false},
		"Abort":                      {func(_ *server.Server, c *server.Conn) { c.Abort() }, server.ErrConnClosed, false, false},
		"expired":                    {func(_ *server.Server, c *server.Conn) { c.ExpiresAt(time.Now()) }, server.ErrCredentialsExpired, false, false},
		"expired, with new ones":     {func(_ *server.Server, c *server.Conn) { c.ExpiresAt(time.Now()) }, nil, true, true},
		"Shutdown":                   {func(s *server.Server, _ *server.Conn) { s.BeginShutdown() }, server.ErrServerClosed, false, false},
		"Server.Close":               {func(s *server.Server, _ *server.Conn) { _ = s.Close() }, server.ErrServerClosed, false, false},
		"the window":                 {func(*server.Server, *server.Conn) { time.Sleep(2*time.Minute + 1) }, server.ErrClientGone, false, false},
		"the window, with a hook":    {func(*server.Server, *server.Conn) { time.Sleep(2*time.Minute + 1) }, server.ErrClientGone, true, false},
		"nothing, within the window": {func(*server.Server, *server.Conn) { time.Sleep(2*time.Minute - 1) }, nil, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				reasons, causes := make(chan error, 1), make(chan error, 1)
				hooks := server.Hooks{
					OnRequest: func(ctx context.Context, _ *server.Request) (protocol.Payload, error) {
						<-ctx.Done()
						causes <- context.Cause(ctx)
						return protocol.Payload{}, nil
					},
					OnClientDisconnected: func(_ *server.Conn, reason error) { reasons <- reason },
				}
				if test.back {
					hooks.OnClientBack = func(_ context.Context, c *server.Conn) error {
						c.ExpiresAt(time.Time{})
						return nil
					}
				}
				srv := resuming(hooks)
				p, w := first(t, srv)
				p.request(1, "", "x")
				p.lose()
				test.end(srv, only(t, srv))
				synctest.Wait()
				select {
				case reason := <-reasons:
					if cause := <-causes; !errors.Is(reason, test.reason) || test.reason == nil || !errors.Is(cause, test.reason) {
						t.Errorf("ended because %v, handler because %v", reason, cause)
					}
				default:
					if !test.goesOn {
						t.Error("the connection goes on")
					}
				}
				if errors.Is(test.reason, server.ErrServerClosed) {
					if err := srv.Shutdown(t.Context()); err != nil {
						t.Error(err)
					}
					return
				}
				if test.goesOn {
					back(t, srv, claim(w, 1, 0))
				} else {
					refused(t, srv, claim(w, 1, 0), protocol.OutcomeExpired)
				}
				if err := srv.Close(); err != nil {
					t.Error(err)
				}
				if test.goesOn {
					<-causes
				}
			})
		})
	}
}

// The place of a connection that is away is kept for its client, and for nobody else.
func TestPlacesOfConnsThatAreAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{Version: protocol.V3_0, Logger: discard, MaxConns: 2, Hooks: server.Hooks{OnRequest: echo}})
		full := func(hello protocol.HelloBody) {
			t.Helper()
			closedWith(t, srv, hello, transport.StatusTryAgainLater)
		}
		p, w := first(t, srv)
		_, _ = first(t, srv)
		p.lose()
		full(protocol.HelloBody{})
		wrong := claim(w, 1, 0)
		wrong.Secret[0] ^= 1
		full(protocol.HelloBody{Resume: &wrong})
		p, w = back(t, srv, claim(w, 1, 0))
		p.request(1, "", "x")
		p.reply(1, protocol.Reply)
		p.lose()
		full(protocol.HelloBody{})
		time.Sleep(2*time.Minute + time.Second)
		if st := srv.Stats(); st.Open != 1 || st.Away != 0 {
			t.Errorf("%d connections, %d away", st.Open, st.Away)
		}
		refused(t, srv, claim(w, 2, 1), protocol.OutcomeExpired)
		full(protocol.HelloBody{})
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

// limitedSessions returns a server on which each request creates a session, and why its
// connections ended.
func limitedSessions(conns int, policy server.SessionPolicy) (*server.Server, <-chan error) {
	reasons := make(chan error, 16)
	return server.New(server.Options{
		Version: protocol.V3_0, Logger: discard, MaxSessionConns: conns, SessionPolicy: policy,
		Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				s, err := r.Conn.CreateSession(ctx, nil)
				return protocol.Text(s.Key), err
			},
			OnClientDisconnected: func(_ *server.Conn, reason error) { reasons <- reason },
		},
	}), reasons
}

// A session that has as many connections as it may takes the place of one that is away:
// that which has had it longest. A connection with a client keeps it.
func TestSessionPlaceOfConnThatIsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, reasons := limitedSessions(3, server.RefuseNewest)
		live, _ := first(t, srv)
		live.request(1, "", "x")
		live.receive()
		key := live.reply(1, protocol.Reply).Payload.Text()
		restore := func(p *peer, want protocol.Kind) {
			t.Helper()
			p.send(protocol.Message{Kind: protocol.RestoreSession, ID: protocol.NewID(9), Payload: protocol.Text(key)})
			p.reply(9, want)
		}
		var peers [2]*peer
		var claims [2]protocol.Resume
		for i := range peers {
			p, w := first(t, srv)
			restore(p, protocol.Reply)
			peers[i], claims[i] = p, claim(w, 1, 1)
		}
		refusedOne, _ := first(t, srv)
		restore(refusedOne, protocol.ReplyFailure)
		for _, i := range []int{1, 0} { // the younger one is away longer
			peers[i].lose()
		}
		newcomer, _ := first(t, srv)
		restore(newcomer, protocol.Reply)
		if reason := <-reasons; !errors.Is(reason, server.ErrSessionReplaced) {
			t.Errorf("the connection ended because %v", reason)
		}
		refused(t, srv, claims[0], protocol.OutcomeExpired)
		back(t, srv, claims[1])
		restore(refusedOne, protocol.ReplyFailure)
		if n := conns(srv.SessionConns(key)); n != 3 {
			t.Errorf("the session has %d connections", n)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Where the newest connection gets the session, it is taken from one that is away as from
// any other.
func TestSessionTakenFromConnThatIsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, reasons := limitedSessions(1, server.ReplaceOldest)
		old, w := first(t, srv)
		old.request(1, "", "x")
		old.receive()
		key := old.reply(1, protocol.Reply).Payload.Text()
		old.lose()
		p, _ := first(t, srv)
		p.send(protocol.Message{Kind: protocol.RestoreSession, ID: protocol.NewID(9), Payload: protocol.Text(key)})
		p.reply(9, protocol.Reply)
		if reason := <-reasons; !errors.Is(reason, server.ErrSessionReplaced) {
			t.Errorf("the connection ended because %v", reason)
		}
		refused(t, srv, claim(w, 1, 2), protocol.OutcomeExpired)
		if n := conns(srv.SessionConns(key)); n != 1 {
			t.Errorf("the session has %d connections", n)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

func conns(all func(func(*server.Conn) bool)) (n int) {
	for range all {
		n++
	}
	return n
}

// A request to a client that is away carries the time that is left, also after signals have
// displaced it.
func TestDeadlineWhileAway(t *testing.T) {
	for _, signals := range []int{0, 1100} {
		bubble(t, func(t *testing.T) {
			srv := resuming(server.Hooks{})
			p, w := first(t, srv)
			p.lose()
			c := only(t, srv)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			asked := make(chan error, 1)
			go func() {
				_, err := c.Request(ctx, "ask", protocol.Text("x"))
				asked <- err
			}()
			synctest.Wait()
			for range signals {
				if err := c.Signal(t.Context(), "s", protocol.Text("x")); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(20 * time.Second)
			outcome := protocol.OutcomeResumed
			if signals > 0 {
				outcome = protocol.OutcomeGap
			}
			claimed := claim(w, 1, 0)
			p, _ = welcomed(t, context.Background(), srv, protocol.HelloBody{Resume: &claimed}, outcome)
			m := p.receive()
			if left, ok := m.Head.Deadline(); m.Name != "ask" || !ok || left != 10*time.Second {
				t.Errorf("%d signals: %v %q has %v left", signals, m.Kind, m.Name, left)
			}
			p.send(protocol.Message{Kind: protocol.Reply, ID: m.ID})
			if err := <-asked; err != nil {
				t.Error(err)
			}
			_ = p.conn.Close(transport.StatusNormalClosure, "")
			p.over()
		})
	}
}
