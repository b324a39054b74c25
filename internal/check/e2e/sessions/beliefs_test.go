package sessions_test

import (
	"context"
	"math/rand/v2"
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
)

// Clients restore, close, lose and create sessions in random order, on a store that
// is slow now and then. Whenever all is quiet, what each client believes is what the
// server knows, and nobody has a session that was closed.
func TestBeliefs(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		const crowd, burst = 4, 10
		h := newHistory(t, v)
		clients := make([]*client.Client, crowd)
		for i := range clients {
			opts := client.Options{MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond}
			clients[i] = h.client(opts)
		}
		for done, all := 0, rounds(10000, 4000, 500); done < all && !t.Failed(); done += crowd * burst {
			var working sync.WaitGroup
			for _, c := range clients {
				working.Go(func() {
					for range burst {
						h.step(c)
					}
				})
			}
			working.Wait()
			h.verify(clients)
		}
		for _, c := range clients {
			c.Close()
		}
		h.wantSessions(0)
	})
}

// history is what happens to the sessions of a site.
type history struct {
	*site
	store *sessiontest.Faulty

	mu     sync.Mutex
	last   string          // the key that was made last
	closed map[string]bool // keys of sessions that the server closed
}

func newHistory(t *testing.T, v protocol.Version) *history {
	h := &history{store: &sessiontest.Faulty{Store: &session.MemoryStore{}}, closed: make(map[string]bool)}
	for _, op := range []sessiontest.Op{sessiontest.Save, sessiontest.Load, sessiontest.Touch, sessiontest.Delete} {
		h.store.Break(op, func(ctx context.Context, call *sessiontest.Call, next func(context.Context) error) error {
			switch rand.N(8) {
			case 0:
				return sessiontest.Delay(rand.N(5*time.Millisecond))(ctx, call, next)
			case 1:
				if rand.N(4) == 0 {
					return errDisk
				}
			}
			return next(ctx)
		})
	}
	h.site = open(t, v, server.Options{Sessions: h.store, MaxSessionConns: 3, Hooks: server.Hooks{
		OnSessionCreated: func(_ context.Context, _ *server.Conn, s session.Session) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.last = s.Key
			return nil
		},
		OnSessionClosed: func(_ context.Context, key string) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.closed[key] {
				t.Error("a session was closed twice")
			}
			h.closed[key] = true
			return nil
		},
	}})
	return h
}

func (h *history) key() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// step does something with the session, whatever comes of it.
func (h *history) step(c *client.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if rand.N(4) == 0 { // somebody loses patience
		ctx, cancel = context.WithTimeout(ctx, rand.N(3*time.Millisecond))
		defer cancel()
	}
	switch rand.N(12) {
	case 0, 1, 2, 3:
		c.RestoreSession(ctx, h.key())
	case 4, 5:
		c.CloseSession(ctx)
	case 6:
		h.CloseSession(ctx, h.key())
	case 7:
		c.Request(ctx, "logout", protocol.Text("!"))
	case 8, 9:
		client.Call[struct{}](ctx, c, "login", ann)
	case 10:
		c.Request(ctx, "drop", protocol.Text("!"))
	case 11:
		for conn := range h.Conns() {
			if rand.N(4) == 0 {
				conn.Abort()
			}
		}
	}
}

// verify compares, once all is quiet, what everybody believes.
func (h *history) verify(clients []*client.Client) {
	h.t.Helper()
	for _, c := range clients {
		if err := c.Connect(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
	}
	time.Sleep(time.Second) // virtual: nothing takes that long
	synctest.Wait()
	believed := make(map[string]int)
	for _, c := range clients {
		if s, ok := c.Session(); ok && c.Status() == client.Connected {
			believed[s.Key]++
		}
	}
	known := make(map[string]int)
	for conn := range h.Conns() {
		if s, ok := conn.Session(); ok {
			known[s.Key]++
		}
	}
	if h.Stats().Open != len(clients) {
		h.t.Errorf("%d connections, %d clients", h.Stats().Open, len(clients))
	}
	if h.Stats().Sessions != len(known) {
		h.t.Errorf("%d sessions are active, connections have %d", h.Stats().Sessions, len(known))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, n := range known {
		if believed[key] != n {
			h.t.Errorf("%d connections have a session, %d clients believe in it", n, believed[key])
		}
		if got := len(slices.Collect(h.SessionConns(key))); got != n {
			h.t.Errorf("%d connections have a session, %d are counted", n, got)
		}
		if h.closed[key] {
			h.t.Errorf("%d connections have a session that was closed", n)
		}
		if _, err := h.store.Store.Load(h.t.Context(), key); err != nil {
			h.t.Errorf("%d connections have a session that the store does not: %v", n, err)
		}
	}
	for key, n := range believed {
		if known[key] != n {
			h.t.Errorf("%d clients believe in a session, %d connections have it", n, known[key])
		}
	}
}
