package handover_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/server"
)

// committed calls a function when the old node has given a connection up, and the new one does
// not know yet.
type committed struct {
	engine.Bus
	f    func()
	once sync.Once
}

func (b *committed) Ask(ctx context.Context, to engine.NodeID, data []byte) ([]byte, error) {
	answer, err := b.Bus.Ask(ctx, to, data)
	if data[0] == handover && data[2] == opCommit {
		b.once.Do(b.f)
	}
	return answer, err
}

// A signal that is sent when the old node has given a connection up, and the new one does not know
// yet, reaches it, once.
func TestSignalDuringCommit(t *testing.T) {
	for _, to := range []string{"all", "session"} {
		t.Run(to, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := new(book)
				there := new(committed)
				c := newCluster(t, 0, nil)
				c.startAll(3, func(i int) server.Options {
					o := server.Options{Handler: named(), Engine: c.engine.Node()}
					if i == 1 {
						there.Bus, o.Engine.Bus = o.Engine.Bus, there
					}
					return o
				})
				m := c.join(0, client.Options{Hooks: b.signals()})
				if a := <-m.ask(t.Context(), "login", "ann"); a.err != nil {
					t.Fatal(a)
				}
				s, _ := m.Session()
				there.f = func() {
					var n int
					var err error
					if to == "all" {
						n, err = c.node(2).SignalAll(t.Context(), "hello", text(""))
					} else {
						n, err = c.node(2).SignalSession(t.Context(), s.Key, "hello", text(""))
					}
					if n != 1 || err != nil {
						t.Errorf("the call returned %d, %v", n, err)
					}
				}
				m.move(t, 1)
				time.Sleep(5 * time.Second)
				b.want(t, "client: signal hello")
				if s := m.Stats(); s.Resumes != 1 || s.Connects != 1 {
					t.Errorf("%d resumes, %d connections", s.Resumes, s.Connects)
				}
			})
		})
	}
}
