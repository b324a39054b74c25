package sim

import (
	"bytes"
	"sync"
	"testing"

	"github.com/webwire-go/webwire/protocol"
)

// resumed is what a mutant knows of a connection whose sockets come one after the other.
type resumed struct {
	secret  protocol.Secret // of the last welcome
	request []byte          // the last one that was read
}

// mutants share what they know.
type mutants struct {
	mu    sync.Mutex
	conns map[protocol.ConnID]*resumed
	tries uint32
}

// of returns what is known of a connection.
func (s *mutants) of(id protocol.ConnID) *resumed {
	if s.conns[id] == nil {
		s.conns[id] = new(resumed)
	}
	return s.conns[id]
}

// The simulation finds each rule of resuming that is broken: the rarest in one of a hundred schedules.
func TestSimFindsMistakesOfResume(t *testing.T) {
	// welcome changes the answer to a client that comes back.
	welcome := func(change func(*protocol.WelcomeBody)) func(*mutant, *mutants) {
		return func(m *mutant, _ *mutants) {
			m.write = func(p protocol.Message, msg []byte) [][]byte {
				if w, err := p.Welcome(); err == nil && w.Outcome.Resumed() {
					change(&w)
					msg, _ = m.version.Append(nil, w.Message())
				}
				return [][]byte{msg}
			}
		}
	}
	// hello changes what a client that comes back says.
	hello := func(change func(*protocol.Resume, *mutants)) func(*mutant, *mutants) {
		return func(m *mutant, s *mutants) {
			m.write = func(p protocol.Message, msg []byte) [][]byte {
				if w, err := p.Welcome(); err == nil {
					s.mu.Lock()
					s.of(w.Conn).secret = w.Secret
					s.mu.Unlock()
				}
				return [][]byte{msg}
			}
			m.read = func(p protocol.Message, msg []byte) [][]byte {
				if h, err := p.Hello(); err == nil && h.Resume != nil {
					s.mu.Lock()
					change(h.Resume, s)
					s.mu.Unlock()
					msg, _ = m.version.Append(nil, h.Message())
				}
				return [][]byte{msg}
			}
		}
	}
	// first loses the first message of a kind on a socket that goes on with a connection.
	first := func(kind protocol.Kind) func(*mutant, *mutants) {
		return func(m *mutant, _ *mutants) {
			again := false
			m.write = func(p protocol.Message, msg []byte) [][]byte {
				if w, err := p.Welcome(); err == nil {
					again = w.Outcome.Resumed()
				}
				if again && p.Kind == kind {
					again = false
					return nil
				}
				return [][]byte{msg}
			}
		}
	}
	for _, c := range []struct {
		name   string
		mutate func(*mutant, *mutants)
		want   string
	}{
		{"acks are counted twice", func(m *mutant, _ *mutants) {
			m.read = func(p protocol.Message, msg []byte) [][]byte {
				if p.Kind == protocol.Ack {
					p.Number++
					msg, _ = m.version.Append(nil, p)
				}
				return [][]byte{msg}
			}
		}, "a violation of the protocol"},
		{"the server acknowledges what it has not read", func(m *mutant, _ *mutants) {
			m.write = func(p protocol.Message, msg []byte) [][]byte {
				if p.Kind == protocol.Ack {
					p.Number++
					msg, _ = m.version.Append(nil, p)
				}
				return [][]byte{msg}
			}
		}, "the server acknowledges"},
		{"replays begin too late", welcome(func(w *protocol.WelcomeBody) { w.From++ }), "the server goes on at message"},
		{"replays begin too early", welcome(func(w *protocol.WelcomeBody) { w.From-- }), "the server goes on at message"},
		{"replays begin too late, and a gap is told", welcome(func(w *protocol.WelcomeBody) {
			w.From++
			w.Outcome = protocol.OutcomeGap
		}), "when it is sent again"},
		{"gaps are too large", welcome(func(w *protocol.WelcomeBody) {
			if w.Outcome == protocol.OutcomeGap {
				w.From += 1000
			}
		}), "a violation of the protocol"},
		{"gaps are too small", welcome(func(w *protocol.WelcomeBody) {
			if w.Outcome == protocol.OutcomeGap {
				w.From--
			}
		}), "is missing at"},
		{"gaps are not told", welcome(func(w *protocol.WelcomeBody) { w.Outcome = protocol.OutcomeResumed }), "the server goes on at message"},
		{"late replies are counted", welcome(func(w *protocol.WelcomeBody) { w.Late = 0 }), "a violation of the protocol"},
		{"messages of the client are counted twice", welcome(func(w *protocol.WelcomeBody) { w.Received++ }), "the server says that it has received"},
		{"messages of the client are not counted", welcome(func(w *protocol.WelcomeBody) { w.Received-- }), "the server says that it has received"},
		{"requests are executed again", func(m *mutant, s *mutants) {
			var conn *resumed
			again := false
			m.write = func(p protocol.Message, msg []byte) [][]byte {
				if w, err := p.Welcome(); err == nil {
					s.mu.Lock()
					conn, again = s.of(w.Conn), w.Outcome.Resumed()
					s.mu.Unlock()
				}
				return [][]byte{msg}
			}
			m.read = func(p protocol.Message, msg []byte) [][]byte {
				s.mu.Lock()
				defer s.mu.Unlock()
				if conn == nil || p.Kind != protocol.Request {
					return [][]byte{msg}
				}
				before := conn.request
				conn.request = bytes.Clone(msg)
				if again && before != nil {
					again = false
					return [][]byte{before, msg}
				}
				return [][]byte{msg}
			}
		}, "was executed 2 times"},
		{"signals that are kept are dropped", first(protocol.Signal), "is missing at"},
		{"items that are kept are dropped", first(protocol.Item), "instead of"},
		{"replies that are kept are dropped", first(protocol.Reply), "no answer"},
		{"streams hide what is lost", func(m *mutant, _ *mutants) {
			m.write = func(p protocol.Message, msg []byte) [][]byte {
				if code, err := p.Failure(); p.Kind == protocol.ReplyFailure && err == nil && code.Code == protocol.FailureStreamLost {
					msg, _ = m.version.Append(nil, protocol.Message{Kind: protocol.Reply, ID: p.ID})
				}
				return [][]byte{msg}
			}
		}, "and the stream ended with: <nil>"},
		{"secrets are not compared", hello(func(r *protocol.Resume, s *mutants) { r.Secret = s.of(r.Conn).secret }), "a secret that was guessed"},
		{"old secrets are accepted", hello(func(r *protocol.Resume, s *mutants) { r.Secret = s.of(r.Conn).secret }), "a secret that is old"},
		{"attempts are not compared", hello(func(r *protocol.Resume, s *mutants) {
			s.tries += 1000
			r.Attempt = s.tries
		}), "an attempt that is not higher"},
	} {
		t.Run(c.name, func(t *testing.T) {
			finds(t, 1, 4000, c.want, func() Config {
				s := &mutants{conns: make(map[protocol.ConnID]*resumed)}
				return Config{Mutate: modern(func(m *mutant) { c.mutate(m, s) })}
			})
		})
	}
}
