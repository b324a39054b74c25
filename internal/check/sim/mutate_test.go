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
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := uint64(1); seed < 100; seed++ {
				var found []string
				synctest.Test(t, func(t *testing.T) {
					found = Run(Config{
						Seed: seed,
						Mutate: func(v protocol.Version, conn transport.Conn) transport.Conn {
							m := &mutant{Conn: conn, version: v}
							c.mutate(m)
							return m
						},
						Hung: func(what string) { panic(what) },
					})
				})
				if strings.Contains(strings.Join(found, "\n"), c.want) {
					return
				}
			}
			t.Error("not found")
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
				} {
					if strings.Contains(text, part) {
						counts[part]++
					}
				}
				if errors.Is(err, client.ErrClosed) {
					counts["client closed"]++
				}
			}
			counts["signals"] += len(h.receipts)
			counts["sessions closed"] += len(h.closed)
		})
	}
	for what, n := range counts {
		t.Logf("%6d × %s", n, what)
	}
	if len(counts) < 14 {
		t.Errorf("only %v happened", counts)
	}
}
