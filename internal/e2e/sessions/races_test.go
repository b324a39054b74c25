package sessions_test

import (
	"context"
	"errors"

	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/session/sessiontest"
)

// soak is whether the tests shall take the time that it takes to be sure.
var soak = os.Getenv("WEBWIRE_SOAK") != ""

// rounds returns how often a test tries its luck.
func rounds(soaking, normal, short int) int {
	switch {
	case soak:
		return soaking
	case testing.Short():
		return short
	}
	return normal
}

// However many connections want the places of a session at once, exactly as many
// get one as there are.
func TestCapRace(t *testing.T) {
	for places := 1; places <= 4; places++ {
		t.Run(fmt.Sprint(places), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { capRace(t, places, rounds(1000, 250, 20)) })
		})
	}
}

func capRace(t *testing.T, places, rounds int) {
	const crowd = 64
	store := &sessiontest.Faulty{Store: &session.MemoryStore{}}
	store.Break(sessiontest.Load, func(ctx context.Context, call *sessiontest.Call, next func(context.Context) error) error {
		// A moment that others use.
		return sessiontest.Delay(rand.N(time.Millisecond))(ctx, call, next)
	})
	s := open(t, protocol.V1_2, server.Options{Sessions: store, MaxSessionConns: places})
	first := s.wire()
	key := first.login()
	first.conn.Abort()
	s.wantConns(key, 0)

	conns := make([]*wire, crowd)
	for range rounds {
		var got atomic.Int32
		var all sync.WaitGroup
		var winners [crowd]*wire
		for i := range conns {
			if conns[i] == nil {
				conns[i] = s.wire()
			}
			all.Go(func() {
				w := conns[i]
				b, err := w.ask(protocol.RestoreSession, key)
				switch {
				case err != nil:
					t.Errorf("restore: %v", err)
				case b.Kind == protocol.Reply:
					got.Add(1)
					conns[i], winners[i] = nil, w
				case b.Kind != protocol.ReplySessionFull:
					t.Errorf("got a %v", b.Kind)
				case w.next == 4: // one more, and the server has enough of it
					conns[i] = nil
					w.conn.Abort()
				}
			})
		}
		all.Wait()
		if n := int(got.Load()); n != places {
			t.Fatalf("%d connections got one of %d places", n, places)
		}
		s.wantConns(key, places)
		for _, w := range winners {
			if w != nil {
				w.conn.Abort()
			}
		}
		s.wantConns(key, 0)
		s.wantSessions(0)
	}
}

// ask is send and read for goroutines.
func (w *wire) ask(kind protocol.Kind, payload string) (protocol.Message, error) {
	w.next++
	b, err := w.v.Append(nil, protocol.Message{Kind: kind, ID: protocol.NewID(w.next), Payload: protocol.Text(payload)})
	if err == nil {
		err = w.conn.Write(b)
	}
	if err == nil {
		b, err = w.conn.Read(nil)
	}
	if err != nil {
		return protocol.Message{}, err
	}
	return w.v.Parse(b)
}

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
		for done, all := 0, rounds(10000, 10000, 500); done < all && !t.Failed(); done += crowd * burst {
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

// The same without waiting for replies: what a client is told about its session has
// the order in which it happened.
func TestTold(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		h := newHistory(t, v)
		for range rounds(500, 100, 10) {
			var watched []*hasty
			for range 3 {
				w := &hasty{wire: h.wire(), asked: make(map[protocol.ID]protocol.Kind)}
				watched = append(watched, w)
				go w.listen()
			}
			for range 20 {
				for _, w := range watched {
					w.step(h.key())
				}
				if rand.N(5) == 0 {
					go h.CloseSession(t.Context(), h.key())
				}
			}
			time.Sleep(time.Second) // virtual
			synctest.Wait()
			var believed, known []string
			for _, w := range watched {
				if w.err == nil && w.key != "" {
					believed = append(believed, w.key)
				}
			}
			for conn := range h.Conns() {
				if s, ok := conn.Session(); ok {
					known = append(known, s.Key)
				}
			}
			slices.Sort(believed)
			slices.Sort(known)
			if !slices.Equal(believed, known) {
				t.Fatalf("clients were told of %d sessions, connections have %d, or others", len(believed), len(known))
			}
			h.dropAll()
		}
	})
}

// hasty is a connection of a client that does not wait for replies.
type hasty struct {
	*wire
	mu    sync.Mutex
	asked map[protocol.ID]protocol.Kind
	key   string // of the session that it was told of last
	err   error  // why the connection ended
}

func (w *hasty) step(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next++
	m := protocol.Message{ID: protocol.NewID(w.next)}
	switch n := rand.N(8); {
	case n == 0 && key != "":
		m.Kind, m.Payload = protocol.RestoreSession, protocol.Text(key)
	case n == 1 && w.key != "": // the one that it has, by what it knows
		m.Kind, m.Payload = protocol.RestoreSession, protocol.Text(w.key)
	case n < 4:
		m.Kind = protocol.CloseSession
	case n < 7:
		m.Kind, m.Name, m.Payload = protocol.Request, "login", protocol.Text("{}")
	default:
		m.Kind, m.Name, m.Payload = protocol.Request, "logout", protocol.Text("!")
	}
	w.asked[m.ID] = m.Kind
	if b, err := w.v.Append(nil, m); err != nil {
		w.t.Error(err)
	} else {
		_ = w.conn.Write(b) // the server may have closed the connection
	}
}

func (w *hasty) listen() {
	for {
		b, err := w.conn.Read(nil)
		if err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.err = err
			return
		}
		m, err := w.v.Parse(b)
		if err != nil {
			w.t.Error(err)
		}
		w.told(m)
	}
}

func (w *hasty) told(m protocol.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	kind := w.asked[m.ID]
	switch {
	case m.Kind == protocol.SessionCreated, m.Kind == protocol.Reply && kind == protocol.RestoreSession:
		s, err := protocol.ParseSession(m.Payload.Data)
		if err != nil {
			w.t.Error(err)
		}
		w.key = s.Key
	case m.Kind == protocol.SessionClosed, m.Kind == protocol.Reply && kind == protocol.CloseSession:
		w.key = ""
	}
	if m.Kind.IsReply() {
		if kind == 0 {
			w.t.Errorf("a second reply, or to nothing: %v", m.Kind)
		}
		delete(w.asked, m.ID)
	}
}

// Handlers of one connection create and close its session, all at once.
func TestOneConnection(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{})
		w := &hasty{wire: s.wire(), asked: make(map[protocol.ID]protocol.Kind)}
		go w.listen()
		synctest.Wait()
		for conn := range s.Conns() {
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for range rounds(20000, 3000, 300) {
						if rand.N(2) == 0 {
							_, err := conn.CreateSession(t.Context(), nil)
							if err != nil && !errors.Is(err, server.ErrSessionActive) {
								t.Error(err)
							}
						} else if err := conn.CloseSession(t.Context()); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			synctest.Wait()
			if has, ok := conn.Session(); has.Key != w.key {
				t.Errorf("the connection has a session: %v; the client was told of another, or none", ok)
			}
		}
		w.conn.Abort()
		s.wantSessions(0)
	})
}
