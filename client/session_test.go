package client_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/session/sessiontest"
	"github.com/webwire-go/webwire/transport/memory"
)

// Who has more time than Options.Timeout has it for changes of the session too, and
// does not lose the connection, and what others asked for on it, before.
func TestSessionDeadline(t *testing.T) {
	for _, what := range []string{"close", "restore", "request"} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := newNetwork(t)
				store := &sessiontest.Faulty{Store: &session.MemoryStore{}}
				s := session.Session{Key: session.NewKey(), Created: time.Now()}
				if err := store.Store.Save(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				n.serve(server.Options{Sessions: store, Hooks: server.Hooks{
					OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
						select {
						case <-time.After(5 * time.Second):
						case <-ctx.Done():
						}
						return r.Payload, nil
					},
				}})
				c := n.client(client.Options{Timeout: 2 * time.Second})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if what == "close" {
					if err := c.RestoreSession(ctx, s.Key); err != nil {
						t.Fatal(err)
					}
				} else {
					connect(t, c)
				}
				store.Break(sessiontest.Delete, sessiontest.Delay(4*time.Second))
				store.Break(sessiontest.Load, sessiontest.Delay(4*time.Second))
				other := begin(ctx, c, "r", "x") // takes 5 s, may take a minute
				var err error
				switch what {
				case "close":
					err = c.CloseSession(ctx)
				case "restore":
					err = c.RestoreSession(ctx, s.Key)
				}
				if err != nil {
					t.Errorf("%s, with a minute left: %v", what, err)
				}
				if out := <-other; out.err != nil {
					t.Errorf("another request, with a minute left: %v", out.err)
				}
			})
		})
	}
}

// Without a deadline Options.Timeout is all the time there is, for the connection and
// the reply together.
func TestRestoreWaitsWithinTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		store := &sessiontest.Faulty{Store: &session.MemoryStore{}}
		store.Break(sessiontest.Load, sessiontest.Hang())
		c := n.client(client.Options{Timeout: 30 * time.Second})
		time.AfterFunc(25*time.Second, func() { n.serve(server.Options{Sessions: store}) })
		start := time.Now()
		err := c.RestoreSession(context.Background(), session.NewKey())
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("RestoreSession: %v", err)
		}
		took(t, "RestoreSession", start, 30*time.Second, 30*time.Second)
	})
}

// Who gave up a RestoreSession and then closed the session has none, even if the
// reply comes after all.
func TestCloseAfterAbandonedRestore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		store := &sessiontest.Faulty{Store: &session.MemoryStore{}}
		s := session.Session{Key: session.NewKey(), Created: time.Now()}
		if err := store.Store.Save(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		store.Break(sessiontest.Load, sessiontest.Delay(5*time.Second))
		n.serve(server.Options{Sessions: store, Hooks: server.Hooks{
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				if _, has := r.Conn.Session(); has {
					return text("somebody"), nil
				}
				return text("nobody"), nil
			},
		}})
		c := n.client(client.Options{})
		connect(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.RestoreSession(ctx, s.Key); err != context.DeadlineExceeded {
			t.Fatal(err)
		}
		if err := c.CloseSession(t.Context()); err != nil { // "I do not want it after all"
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if _, has := c.Session(); has {
			t.Error("the client has a session after CloseSession returned nil")
		}
		if reply, err := c.Request(t.Context(), "who", text("x")); err != nil || reply.Text() != "nobody" {
			t.Errorf("after CloseSession the client is %s (%v)", reply.Text(), err)
		}
	})
}

// The reply to CloseSession is about the session that there was: a server may create
// the next one before it replies.
func TestCloseSparesNewSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		keys := client.KeyFile(filepath.Join(t.TempDir(), "key"))
		c, p := signedIn(t, client.Options{Keys: keys})
		login := begin(context.Background(), c, "login", "x")
		req := p.receive()
		closed := make(chan error, 1)
		go func() { closed <- c.CloseSession(context.Background()) }()
		m := p.receive()
		p.send(protocol.Message{Kind: protocol.SessionClosed})
		p.send(created(t, "new"))
		p.reply(req.ID, "welcome")
		p.send(protocol.Message{Kind: protocol.Reply, ID: m.ID})
		if err := <-closed; err != nil {
			t.Fatal(err)
		}
		if out := <-login; out.err != nil {
			t.Fatal(out.err)
		}
		if s, has := c.Session(); !has || s.Key != "new" {
			t.Errorf("the new session is lost")
		}
		synctest.Wait()
		wantKey(t, keys, "new")
	})
}

// That a session was closed by others is told before the next one is, even if a
// CloseSession might have been the reason.
func TestClosedIsToldBeforeCreated(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var n notes
		c, p := signedIn(t, client.Options{Hooks: n.hooks()})
		closed := make(chan error, 1)
		go func() { closed <- c.CloseSession(context.Background()) }()
		p.receive()
		p.send(protocol.Message{Kind: protocol.SessionClosed}) // by another client
		p.send(created(t, "new"))
		synctest.Wait()
		p.conn.Abort()
		if err := <-closed; !errors.Is(err, client.ErrDisconnected) {
			t.Fatal(err)
		}
		synctest.Wait()
		n.mu.Lock()
		defer n.mu.Unlock()
		if want := []string{"created old", "closed", "created new"}; !slices.Equal(n.all, want) {
			t.Errorf("%q, want %q", n.all, want)
		}
	})
}

// A CloseSession that succeeded explains the end of the session, whatever becomes of
// another one.
func TestOwnCloseIsNotTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var n notes
		c, p := signedIn(t, client.Options{Hooks: n.hooks()})
		closed := make(chan error, 2)
		for range 2 {
			go func() { closed <- c.CloseSession(context.Background()) }()
		}
		first := p.receive()
		p.receive()
		p.send(protocol.Message{Kind: protocol.SessionClosed})
		p.send(protocol.Message{Kind: protocol.Reply, ID: first.ID})
		if err := <-closed; err != nil {
			t.Fatal(err)
		}
		p.conn.Abort()
		<-closed
		synctest.Wait()
		n.mu.Lock()
		defer n.mu.Unlock()
		if want := []string{"created old"}; !slices.Equal(n.all, want) {
			t.Errorf("%q, want %q: the client's own CloseSession succeeded", n.all, want)
		}
	})
}

// A session that the server believes in and the client cannot read ends the connection:
// the client could not close it.
func TestUnreadableSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := dial(t, ln, client.Options{DisableAutoconnect: true})
		go c.Connect(context.Background())
		p := accept(t, ln, protocol.V1_2, protocol.Conf{})
		synctest.Wait()
		done := make(chan error, 1)
		go func() { done <- c.RestoreSession(context.Background(), "key") }()
		p.reply(p.receive().ID, `{"key":"key","crt":"not a time"}`)
		if err := <-done; err == nil {
			t.Fatal("no error")
		}
		synctest.Wait()
		// The server believes that the connection has the session. The client cannot
		// close it, so the connection must not go on.
		if err := c.CloseSession(context.Background()); err != nil {
			t.Fatal(err)
		}
		if s := c.Status(); s == client.Connected {
			t.Errorf("the client goes on with a connection whose session it does not know, and CloseSession did not tell the server")
		}
	})
}

// signedIn returns a client that has the session "old", and the server's end.
func signedIn(t *testing.T, opts client.Options) (*client.Client, *peer) {
	t.Helper()
	ln := memory.Listen()
	c := dial(t, ln, opts)
	go c.Connect(context.Background())
	p := accept(t, ln, protocol.V1_2, protocol.Conf{})
	synctest.Wait()
	p.send(created(t, "old"))
	synctest.Wait()
	return c, p
}

// created returns what a server says of a session that it created.
func created(t *testing.T, key string) protocol.Message {
	t.Helper()
	data, err := protocol.V1_2.AppendSession(nil, protocol.Session{Key: key, Created: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return protocol.Message{Kind: protocol.SessionCreated, Payload: protocol.Payload{Encoding: protocol.UTF8, Data: data}}
}

// notes are what the hooks for sessions were called with.
type notes struct {
	mu  sync.Mutex
	all []string
}

func (n *notes) note(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, s)
}

func (n *notes) hooks() client.Hooks {
	return client.Hooks{
		OnSessionCreated: func(_ context.Context, s session.Session) { n.note("created " + s.Key) },
		OnSessionClosed:  func(context.Context) { n.note("closed") },
	}
}

// A store that fails for a moment, while the client comes back, does not cost it the
// session.
func TestRestoredAfterStoreFailed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		store := &sessiontest.Faulty{Store: &session.MemoryStore{}}
		srv := n.serve(server.Options{Sessions: store, Hooks: server.Hooks{OnRequest: login}})
		told := make(chan string, 10)
		c := n.client(client.Options{Hooks: client.Hooks{
			OnConnected:       func(context.Context) { told <- "connected" },
			OnSessionError:    func(_ context.Context, err error) { told <- err.Error() },
			OnSessionRestored: func(_ context.Context, s session.Session) { told <- "restored" },
		}})
		if _, err := c.Request(t.Context(), "login", text("x")); err != nil {
			t.Fatal(err)
		}
		before, _ := c.Session()
		store.Break(sessiontest.Load, sessiontest.Fail(errors.New("database is restarting")))
		n.near().Cut()
		time.Sleep(time.Minute)
		if _, has := c.Session(); has || c.Status() != client.Connected {
			t.Errorf("the client is %v and has a session: %t", c.Status(), has)
		}
		store.Mend(sessiontest.Load)
		time.Sleep(time.Minute)
		if s, has := c.Session(); !has || s.Key != before.Key {
			t.Error("the session is lost")
		}
		if open := srv.Stats().Open; open != 1 || c.Stats().Connects != 2 {
			t.Errorf("%d connections of %d", open, c.Stats().Connects)
		}
		c.Close()
		synctest.Wait()
		close(told)
		var all []string
		for what := range told {
			all = append(all, what)
		}
		if want := []string{"connected", protocol.ErrInternal.Error(), "connected", "restored"}; !slices.Equal(all, want) {
			t.Errorf("%q, want %q", all, want)
		}
	})
}
