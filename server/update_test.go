package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/session/sessiontest"
)

// member is the info of the sessions of these tests.
type member struct {
	Name string `json:"name"`
}

// updater answers "login" with a new session, and "rename" by changing its info. The reply
// of a failed rename is the text of its error.
func updater(errs *[]error) server.RequestHandler {
	var mu sync.Mutex
	return func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		in := member{r.Payload.Text()}
		if r.Name == "login" {
			_, err := r.Conn.CreateSession(ctx, in)
			return protocol.Payload{}, err
		}
		var info any = in
		if in.Name == "text" {
			info = "not an object"
		}
		s, err := r.Conn.UpdateSession(ctx, info)
		if err == nil {
			return protocol.Text(string(s.Info)), nil
		}
		mu.Lock()
		defer mu.Unlock()
		*errs = append(*errs, err)
		return protocol.Text("failed"), nil
	}
}

// session receives a message that carries a session and returns that.
func (p *peer) session(kind protocol.Kind) session.Session {
	p.t.Helper()
	m := p.receive()
	if m.Kind != kind {
		p.t.Fatalf("got %v (%q), want %v", m.Kind, m.Payload.Text(), kind)
	}
	s, err := protocol.ParseSession(m.Payload.Data)
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

func (p *peer) login(name string) session.Session {
	p.t.Helper()
	p.request(1, "login", name)
	s := p.session(protocol.SessionCreated)
	p.reply(1, protocol.Reply)
	return s
}

func (p *peer) restore(key string) {
	p.t.Helper()
	p.send(protocol.Message{Kind: protocol.RestoreSession, ID: protocol.NewID(2), Payload: protocol.Text(key)})
}

func wantInfo(t *testing.T, s session.Session, key, info string) {
	t.Helper()
	if s.Key != key || string(s.Info) != info {
		t.Errorf("got %v with %s, want %s", s, s.Info, info)
	}
}

// Every client that has the session gets the change, whatever its version, before the
// reply to the request; so does whoever restores the session later.
func TestUpdateSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var errs []error
		var observed []string
		store := &session.MemoryStore{}
		srv := server.New(server.Options{Sessions: store, Hooks: server.Hooks{
			OnRequest: updater(&errs),
			OnSessionUpdated: func(_ context.Context, _ *server.Conn, s session.Session) error {
				observed = append(observed, string(s.Info))
				return nil
			},
		}})
		a := connect(t, srv, protocol.V1_2)
		made := a.login("ada")
		var others []*peer
		for _, v := range []protocol.Version{protocol.V1_2, protocol.V1_3, protocol.V1_5, protocol.V2_0} {
			p := dialEndpoint(t, srv.Endpoint(server.EndpointOptions{Version: v}), v)
			if v == protocol.V2_0 {
				p.receive()
			}
			p.restore(made.Key)
			p.session(protocol.Reply)
			others = append(others, p)
		}
		stranger := connect(t, srv, protocol.V1_2)
		other := stranger.login("bob")

		a.request(3, "rename", "grace")
		const want = `{"name":"grace"}`
		wantInfo(t, a.session(protocol.SessionCreated), made.Key, want)
		if m := a.reply(3, protocol.Reply); m.Payload.Text() != want {
			t.Errorf("UpdateSession returned %s", m.Payload.Text())
		}
		for _, p := range others {
			s := p.session(protocol.SessionCreated)
			wantInfo(t, s, made.Key, want)
			if !s.Created.Equal(made.Created) {
				t.Errorf("created %v became %v", made.Created, s.Created)
			}
			p.quiet()
		}
		for c := range srv.SessionConns(made.Key) {
			s, _ := c.Session()
			wantInfo(t, s, made.Key, want)
		}
		if s, err := store.Load(t.Context(), made.Key); err != nil || string(s.Info) != want || !s.Created.Equal(made.Created) {
			t.Errorf("stored: %v %s, %v", s, s.Info, err)
		}
		if len(observed) != 1 || observed[0] != want {
			t.Errorf("OnSessionUpdated got %v", observed)
		}
		late := connect(t, srv, protocol.V1_2)
		late.restore(made.Key)
		wantInfo(t, late.session(protocol.Reply), made.Key, want)
		stranger.quiet()
		if s, err := store.Load(t.Context(), other.Key); err != nil || string(s.Info) != `{"name":"bob"}` {
			t.Errorf("another session: %s, %v", s.Info, err)
		}
		if len(errs) > 0 {
			t.Error(errs)
		}
		srv.Close()
	})
}

// After an error neither the store nor a client has the change.
func TestUpdateSessionFails(t *testing.T) {
	broken := errors.New("disk full")
	for name, test := range map[string]struct {
		prepare func(t *testing.T, srv *server.Server, store *sessiontest.Faulty, key string)
		name    string
		want    error
		stored  bool // the session is still in the store
	}{
		"store": {
			prepare: func(_ *testing.T, _ *server.Server, store *sessiontest.Faulty, _ string) {
				store.Break(sessiontest.Update, sessiontest.Fail(broken))
			},
			want: broken, stored: true,
		},
		"panic": {
			prepare: func(_ *testing.T, _ *server.Server, store *sessiontest.Faulty, _ string) {
				store.Break(sessiontest.Update, sessiontest.Panic("oops"))
			},
			want: protocol.ErrInternal, stored: true,
		},
		"deleted": {
			prepare: func(t *testing.T, _ *server.Server, store *sessiontest.Faulty, key string) {
				store.Delete(t.Context(), key)
			},
			want: session.ErrNotFound,
		},
		"closed": {
			prepare: func(t *testing.T, srv *server.Server, _ *sessiontest.Faulty, key string) {
				srv.CloseSession(t.Context(), key)
			},
			want: server.ErrNoSession,
		},
		"unreadable for another": {name: "text", want: server.ErrSessionInfo, stored: true},
		"too long for another":   {name: strings.Repeat("x", 3000), want: protocol.ErrTooBig, stored: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var errs []error
				store := &sessiontest.Faulty{Store: &session.MemoryStore{}}
				srv := server.New(server.Options{Sessions: store, Logger: discard, Hooks: server.Hooks{OnRequest: updater(&errs)}})
				a := connect(t, srv, protocol.V1_2)
				made := a.login("ada")
				b := dialEndpoint(t, srv.Endpoint(server.EndpointOptions{Version: protocol.V2_0, MaxMessageSize: 2000}), protocol.V2_0)
				b.receive()
				b.restore(made.Key)
				b.session(protocol.Reply)
				if test.prepare != nil {
					test.prepare(t, srv, store, made.Key)
				}
				if name == "closed" {
					a.receive()
					b.receive()
				}
				name := "grace"
				if test.name != "" {
					name = test.name
				}
				a.request(3, "rename", name)
				a.reply(3, protocol.Reply)
				if len(errs) != 1 || !errors.Is(errs[0], test.want) {
					t.Errorf("got %v, want %v", errs, test.want)
				}
				a.quiet()
				b.quiet()
				if s, err := store.Load(t.Context(), made.Key); test.stored != (err == nil) || test.stored && string(s.Info) != `{"name":"ada"}` {
					t.Errorf("stored: %s, %v", s.Info, err)
				}
				for c := range srv.SessionConns(made.Key) {
					if s, _ := c.Session(); string(s.Info) != `{"name":"ada"}` {
						t.Errorf("a connection has %s", s.Info)
					}
				}
				srv.Close()
			})
		})
	}
	t.Run("disabled", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			srv := server.New(server.Options{DisableSessions: true})
			connect(t, srv, protocol.V1_2)
			if _, err := grab(t, srv).UpdateSession(t.Context(), nil); !errors.Is(err, protocol.ErrSessionsDisabled) {
				t.Errorf("got %v", err)
			}
			srv.Close()
		})
	})
	t.Run("connection ended", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			srv := server.New(server.Options{Hooks: server.Hooks{OnRequest: updater(new([]error))}})
			p := connect(t, srv, protocol.V1_2)
			p.login("ada")
			c := grab(t, srv)
			p.conn.Abort()
			p.over()
			if _, err := c.UpdateSession(t.Context(), nil); !errors.Is(err, server.ErrConnClosed) {
				t.Errorf("got %v", err)
			}
		})
	})
}

// A client that restores the session during an update gets the new state, although its
// session was loaded before.
func TestUpdateDuringRestore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var errs []error
		store := &sessiontest.Faulty{Store: &session.MemoryStore{}}
		srv := server.New(server.Options{Sessions: store, Hooks: server.Hooks{OnRequest: updater(&errs)}})
		a := connect(t, srv, protocol.V1_2)
		made := a.login("ada")
		loaded, proceed := make(chan struct{}, 10), make(chan struct{})
		store.Break(sessiontest.Load, func(ctx context.Context, _ *sessiontest.Call, next func(context.Context) error) error {
			err := next(ctx)
			loaded <- struct{}{}
			<-proceed
			return err
		})
		b := connect(t, srv, protocol.V1_2)
		b.restore(made.Key)
		<-loaded
		a.request(3, "rename", "grace")
		a.session(protocol.SessionCreated)
		a.reply(3, protocol.Reply)
		close(proceed)
		wantInfo(t, b.session(protocol.Reply), made.Key, `{"name":"grace"}`)
		b.quiet()
		a.request(4, "rename", "alan")
		for _, p := range []*peer{a, b} {
			wantInfo(t, p.session(protocol.SessionCreated), made.Key, `{"name":"alan"}`)
		}
		srv.Close()
	})
}

// However many connections update and close the session at once, all clients and the store
// agree in the end, and a closed session stays closed.
func TestConcurrentUpdates(t *testing.T) {
	for _, closing := range []bool{false, true} {
		t.Run(fmt.Sprintf("closing=%v", closing), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := &session.MemoryStore{}
				srv := server.New(server.Options{Sessions: store, Hooks: server.Hooks{OnRequest: updater(new([]error))}})
				first := connect(t, srv, protocol.V1_2)
				made := first.login("ada")
				peers := []*peer{first}
				for range 3 {
					p := connect(t, srv, protocol.V1_2)
					p.restore(made.Key)
					p.session(protocol.Reply)
					peers = append(peers, p)
				}
				for i := range 20 {
					for j, p := range peers {
						p.request(uint64(100+i), "rename", fmt.Sprintf("%d.%d", i, j))
					}
					if closing && i == 10 {
						peers[1].send(protocol.Message{Kind: protocol.CloseSession, ID: protocol.NewID(7)})
					}
				}
				synctest.Wait()
				s, err := store.Load(t.Context(), made.Key)
				if closing != errors.Is(err, session.ErrNotFound) {
					t.Fatalf("stored: %v", err)
				}
				for i, p := range peers {
					var last protocol.Message
					for len(p.got) > 0 {
						if m := <-p.got; m.Kind == protocol.SessionCreated || m.Kind == protocol.SessionClosed {
							last = m
						}
					}
					if closing {
						if last.Kind != protocol.SessionClosed {
							t.Errorf("client %d: last is %v", i, last.Kind)
						}
						continue
					}
					got, err := protocol.ParseSession(last.Payload.Data)
					if err != nil || string(got.Info) != string(s.Info) {
						t.Errorf("client %d has %s, the store %s (%v)", i, got.Info, s.Info, err)
					}
				}
				srv.Close()
			})
		})
	}
}

// Without a store the hook saves the change; without the hook there are no updates.
func TestUpdateByHooks(t *testing.T) {
	for name, test := range map[string]struct {
		hook func(context.Context, *server.Conn, session.Session) error
		want error
	}{
		"none":  {nil, errors.ErrUnsupported},
		"saves": {func(context.Context, *server.Conn, session.Session) error { return nil }, nil},
		"fails": {func(context.Context, *server.Conn, session.Session) error { return context.DeadlineExceeded }, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var errs []error
				srv := server.New(server.Options{Hooks: server.Hooks{
					OnRequest:        updater(&errs),
					OnSessionCreated: func(context.Context, *server.Conn, session.Session) error { return nil },
					OnSessionLookup: func(_ context.Context, _ *server.Conn, s session.Session) (session.Session, error) {
						return s, nil
					},
					OnSessionUpdated: test.hook,
				}})
				p := connect(t, srv, protocol.V1_2)
				made := p.login("ada")
				p.request(3, "rename", "grace")
				want := `{"name":"ada"}`
				if test.want == nil {
					want = `{"name":"grace"}`
					wantInfo(t, p.session(protocol.SessionCreated), made.Key, want)
				}
				p.reply(3, protocol.Reply)
				s, _ := grab(t, srv).Session()
				wantInfo(t, s, made.Key, want)
				if test.want == nil && len(errs) > 0 || test.want != nil && (len(errs) != 1 || !errors.Is(errs[0], test.want)) {
					t.Errorf("got %v, want %v", errs, test.want)
				}
				srv.Close()
			})
		})
	}
}

// With a store an error of the hook is logged: the session has changed.
func TestUpdateHookFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var errs []error
		var log record
		srv := server.New(server.Options{Logger: log.logger(), Hooks: server.Hooks{
			OnRequest:        updater(&errs),
			OnSessionUpdated: func(_ context.Context, _ *server.Conn, s session.Session) error { return fmt.Errorf("no %s", s.Key) },
		}})
		p := connect(t, srv, protocol.V1_2)
		made := p.login("ada")
		p.request(3, "rename", "grace")
		wantInfo(t, p.session(protocol.SessionCreated), made.Key, `{"name":"grace"}`)
		p.reply(3, protocol.Reply)
		if text := log.take(); len(errs) > 0 || strings.Count(text, "OnSessionUpdated failed") != 1 || strings.Contains(text, made.Key) {
			t.Errorf("%v; log: %s", errs, text)
		}
		srv.Close()
	})
}
