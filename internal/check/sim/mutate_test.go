package sim

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/invariant"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// mutant is a server's end of a connection that does something wrong.
type mutant struct {
	transport.Conn
	version protocol.Version
	read    func(m protocol.Message, msg []byte) [][]byte // what the server reads instead of msg
	write   func(m protocol.Message, msg []byte) [][]byte // what the client gets instead of msg

	ahead [][]byte // to be read
}

func (m *mutant) Read(buf []byte) ([]byte, error) {
	for len(m.ahead) == 0 {
		msg, err := m.Conn.Read(nil)
		if err != nil {
			return nil, err
		}
		m.ahead = m.change(m.read, msg)
	}
	msg := m.ahead[0]
	m.ahead = m.ahead[1:]
	return append(buf[:0], msg...), nil
}

func (m *mutant) Write(msgs ...[]byte) error {
	var changed [][]byte
	for _, msg := range msgs {
		changed = append(changed, m.change(m.write, msg)...)
	}
	if len(changed) == 0 {
		return nil
	}
	return m.Conn.Write(changed...)
}

func (m *mutant) change(how func(protocol.Message, []byte) [][]byte, msg []byte) [][]byte {
	msg = bytes.Clone(msg)
	parsed, err := m.version.Parse(msg)
	if err != nil || how == nil {
		return [][]byte{msg}
	}
	return how(parsed, msg)
}

// modern mutates the connections of 3.0, and leaves the others as they are.
func modern(mutate func(*mutant)) func(protocol.Version, transport.Conn) transport.Conn {
	return func(v protocol.Version, conn transport.Conn) transport.Conn {
		m := &mutant{Conn: conn, version: v}
		if v == protocol.V3_0 {
			mutate(m)
		}
		return m
	}
}

// finds fails unless one of the schedules from a seed until before another finds what is wanted.
// conf returns what is wrong; it is called in the bubble of each schedule.
func finds(t *testing.T, from, to uint64, want string, conf func() Config) {
	t.Helper()
	if invariant.Enabled {
		// Of thousands of such schedules one brings the race detector itself down: "ThreadSanitizer:
		// CHECK failed". make test runs them without it.
		t.Skip("make test runs this without the race detector")
	}
	for seed := from; seed < to; seed++ {
		var found []string
		synctest.Test(t, func(*testing.T) {
			c := conf()
			c.Seed, c.Hung = seed, func(what string) { panic(what) }
			found = Run(c)
		})
		if strings.Contains(strings.Join(found, "\n"), want) {
			t.Logf("found with seed %d", seed)
			return
		}
	}
	t.Error("not found")
}

// The simulation finds mistakes, each within a few schedules.
func TestSimFindsMistakes(t *testing.T) {
	keep := func(_ protocol.Message, msg []byte) [][]byte { return [][]byte{msg} }
	on := func(kind protocol.Kind, change func(msg []byte) [][]byte) func(protocol.Message, []byte) [][]byte {
		return func(m protocol.Message, msg []byte) [][]byte {
			if m.Kind != kind {
				return keep(m, msg)
			}
			return change(msg)
		}
	}
	twice := func(msg []byte) [][]byte { return [][]byte{msg, msg} }
	never := func([]byte) [][]byte { return nil }
	// changed returns msg with a change.
	changed := func(m *mutant, msg []byte, change func(*protocol.Message)) [][]byte {
		p, _ := m.version.Parse(msg) // it was parsed before
		change(&p)
		msg, _ = m.version.Append(nil, p)
		return [][]byte{msg}
	}

	for _, c := range []struct {
		name   string
		mutate func(*mutant)
		want   string
	}{
		{"requests are handled twice", func(m *mutant) { m.read = on(protocol.Request, twice) }, "was executed 2 times"},
		{"signals are handled twice", func(m *mutant) { m.read = on(protocol.Signal, twice) }, "more than once"},
		{"signals are delivered twice", func(m *mutant) { m.write = on(protocol.Signal, twice) }, "more than once"},
		{"replies are lost", func(m *mutant) { m.write = on(protocol.Reply, never) }, "does not work"},
		{"replies are those of others", func(m *mutant) {
			var before []byte
			m.write = on(protocol.Reply, func(msg []byte) [][]byte {
				changed := bytes.Clone(msg)
				const header = 9 // type and id
				if bytes.Contains(before, []byte("re: ")) && bytes.Contains(msg, []byte("re: ")) {
					changed = append(changed[:header], before[header:]...)
				}
				before = msg
				return [][]byte{changed}
			})
		}, "got the reply"},
		{"signals are reordered", func(m *mutant) {
			var kept []byte
			m.read = on(protocol.Signal, func(msg []byte) [][]byte {
				if kept == nil {
					kept = msg
					return nil
				}
				both := [][]byte{msg, kept}
				kept = nil
				return both
			})
		}, "arrived at"},
		{"sessions are closed silently", func(m *mutant) { m.write = on(protocol.SessionClosed, never) }, "has the session"},
		{"failures are unsent requests", func(m *mutant) {
			m.write = func(p protocol.Message, msg []byte) [][]byte {
				if p.Kind == protocol.Reply {
					msg, _ = m.version.Append(nil, m.version.Failure(p.ID, protocol.ErrShutdown))
				}
				return [][]byte{msg}
			}
		}, "but its outcome is"},

		{"cancels are lost", func(m *mutant) { m.read = on(protocol.Cancel, never) }, "after its requester left"},
		{"cancels stop other requests", func(m *mutant) {
			var last protocol.ID
			m.read = func(p protocol.Message, msg []byte) [][]byte {
				switch p.Kind {
				case protocol.Request:
					last = p.ID
				case protocol.Cancel:
					return changed(m, msg, func(p *protocol.Message) { p.ID = last })
				}
				return [][]byte{msg}
			}
		}, "was cancelled, but the outcome is"},
		{"deadlines are lost", func(m *mutant) {
			m.read = on(protocol.Request, func(msg []byte) [][]byte {
				return changed(m, msg, func(p *protocol.Message) {
					stream := p.Head.Stream()
					if p.Head = nil; stream {
						p.Head = p.Head.AppendStream()
					}
				})
			})
		}, "has the deadline"},
		{"deadlines are cut", func(m *mutant) {
			m.read = on(protocol.Request, func(msg []byte) [][]byte {
				return changed(m, msg, func(p *protocol.Message) {
					if d, ok := p.Head.Deadline(); ok && !p.Head.Stream() {
						p.Head = protocol.Head(nil).AppendDeadline(d / 2)
					}
				})
			})
		}, " early"},
		{"answers are given twice", func(m *mutant) { m.write = on(protocol.Reply, twice) }, "a second answer"},
		{"cancelled requests have no answer", func(m *mutant) { m.write = on(protocol.ReplyFailure, never) }, "have no answer"},
		{"items are lost", func(m *mutant) {
			m.write = func(p protocol.Message, msg []byte) [][]byte {
				if p.Kind == protocol.Item && len(p.Payload.Data) < 1000 && p.Payload.Data[0] == '2' {
					return nil
				}
				return [][]byte{msg}
			}
		}, "instead of 2"},
		{"items are delivered twice", func(m *mutant) { m.write = on(protocol.Item, twice) }, "item 0 arrived instead of 1"},
		{"streams end early", func(m *mutant) {
			m.write = func(p protocol.Message, msg []byte) [][]byte {
				if p.Kind == protocol.Item && p.Payload.Data[0] == '3' {
					return changed(m, msg, func(p *protocol.Message) { p.Kind = protocol.Reply })
				}
				return [][]byte{msg}
			}
		}, "items arrived, and the stream ended with: <nil>"},
		{"limits are exceeded", func(m *mutant) {
			m.read = on(protocol.Credit, func(msg []byte) [][]byte {
				return changed(m, msg, func(p *protocol.Message) { p.Number *= 2 })
			})
		}, "beyond the limit"},
		{"clients are asked twice", func(m *mutant) { m.write = on(protocol.Request, twice) }, "was executed 2 times"},
		{"clients' answers are lost", func(m *mutant) { m.read = on(protocol.Reply, never) }, "is asked without a fault"},
	} {
		t.Run(c.name, func(t *testing.T) {
			finds(t, 1, 1000, c.want, func() Config {
				return Config{Mutate: func(v protocol.Version, conn transport.Conn) transport.Conn {
					m := &mutant{Conn: conn, version: v}
					c.mutate(m)
					return m
				}}
			})
		})
	}
}

// Schedules are not all the same: whatever may happen, does.
func TestSchedulesAreVaried(t *testing.T) {
	counts := make(map[string]int)
	var mu sync.Mutex
	for seed := uint64(1); seed <= 60; seed++ {
		synctest.Test(t, func(t *testing.T) {
			h := run(Config{Seed: seed, Hung: func(what string) { panic(what) }})
			mu.Lock()
			defer mu.Unlock()
			for _, r := range h.requests {
				err := r.outcomes[0].err
				text := fmt.Sprint(err)
				for _, part := range []string{
					"<nil>", "FAILED", "internal error of the server", "server is shutting down",
					"not sent", "may have executed", "no reply within", "not connected within",
					"context canceled", "context deadline exceeded", "client: disconnected",
					"as many requests as it takes", "server: connection lost",
				} {
					if strings.Contains(text, part) {
						counts[part]++
					}
				}
				if errors.Is(err, client.ErrClosed) {
					counts["client closed"]++
				}
				if r.items != nil {
					counts["items"] += len(r.items.received)
					if r.items.left {
						counts["streams left"]++
					}
				}
				for _, e := range r.executions {
					switch {
					case isCancel(e.cause):
						counts["handlers cancelled"]++
					case isDeadline(e.cause):
						counts["handlers at their deadline"]++
					}
				}
			}
			counts["signals"] += len(h.receipts)
			counts["sessions closed"] += len(h.closed)
		})
	}
	for what, n := range counts {
		t.Logf("%6d × %s", n, what)
	}
	if len(counts) < 20 {
		t.Errorf("only %v happened", counts)
	}
}
