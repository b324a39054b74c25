package sessions_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

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
