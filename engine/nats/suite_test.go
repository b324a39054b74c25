package natsengine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
	natsengine "github.com/webwire-go/webwire/engine/nats"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/session/sessiontest"
)

var sizes = map[string]int{"OneServer": 1, "ThreeServers": 3}

// The promises of an engine, with real servers, connections that are cut and streams
// that are deleted.
func TestEngine(t *testing.T) {
	t.Parallel()
	atOnce(t, sizes, func(t *testing.T, servers int) {
		c := shared(servers)
		var apps, proxies sync.Map // of tests by name, of nodes by bus
		proxyOf := func(e engine.Engine) *proxy {
			p, _ := proxies.Load(e.Bus)
			return p.(*proxy)
		}
		log := func(t *testing.T) string {
			app, _ := apps.Load(t.Name())
			return fmt.Sprint("WW_", app, "_log_recent")
		}
		enginetest.Run(t, enginetest.Harness{
			Nodes: func(t *testing.T, n int) []engine.Engine {
				o := c.settings(t, 0)
				o.Timeout = 20 * time.Second // also on a machine with much else to do
				apps.Store(t.Name(), o.App)
				var nodes []engine.Engine
				for i := range n {
					p := newProxy(t, c.urlOf(i))
					o.URL = p.url()
					e := natsengine.New(o)
					proxies.Store(e.Bus, p)
					nodes = append(nodes, e)
				}
				return nodes
			},
			History: 100,
			Disconnect: func(_ *testing.T, e engine.Engine) func() {
				proxyOf(e).cut()
				return proxyOf(e).heal
			},
			Crash: func(_ *testing.T, e engine.Engine) { proxyOf(e).cut() },
			Restart: func(t *testing.T, _ []engine.Engine) {
				nc, js := c.connect(t)
				defer nc.Close()
				if err := js.DeleteStream(t.Context(), log(t)); err != nil {
					t.Fatal(err)
				}
			},
			Age:    func(t *testing.T) { c.age(t, log(t)) },
			Slack:  slack(),
			AtOnce: 4,
		})
	})
}

// slack is how much longer things may take on a machine with much else to do.
func slack() time.Duration {
	if long {
		return 0
	}
	return 5 * time.Second
}

// age lets everything in a stream expire, and gives it back its limits.
func (c *cluster) age(t *testing.T, name string) {
	t.Helper()
	nc, js := c.connect(t)
	defer nc.Close()
	s, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	config := s.CachedInfo().Config
	short := config
	short.MaxAge, short.Duplicates = 200*time.Millisecond, 200*time.Millisecond
	update(t, js, short)
	eventually(t, 20*time.Second, "the end of all entries", func() bool {
		info, err := s.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	})
	update(t, js, config)
}

func (c *cluster) purge(t *testing.T, name string) {
	t.Helper()
	nc, js := c.connect(t)
	defer nc.Close()
	s, err := js.Stream(t.Context(), name)
	if err == nil {
		err = s.Purge(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func update(t *testing.T, js jetstream.JetStream, config jetstream.StreamConfig) {
	t.Helper()
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

// open opens a node with these options until the test ends.
func open(t testing.TB, o natsengine.Options, in engine.Inlet) (engine.Engine, engine.NodeID) {
	t.Helper()
	e, id := natsengine.New(o), engine.NewNodeID()
	if err := e.Bus.Open(context.Background(), id, in); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Bus.Close(); err != nil {
			t.Error(err)
		}
	})
	return e, id
}

// The promises of a store of sessions. Each call goes to another of three nodes.
func TestSessions(t *testing.T) {
	t.Parallel()
	all := sizes
	if os.Getenv("WEBWIRE_SOAK") == "" {
		all = map[string]int{"ThreeServers": 3}
	}
	atOnce(t, all, func(t *testing.T, servers int) {
		c := shared(servers)
		o := c.settings(t, 0)
		// The tests come one after the other and share the streams, and the nodes.
		reopen := func(maxAge time.Duration) session.Store {
			s := &rotating{}
			for i := range 3 {
				o := o
				o.URL, o.MaxSessionAge = c.urlOf(i), maxAge
				e, _ := open(t, o, &enginetest.Inlet{})
				s.stores = append(s.stores, e.Sessions)
			}
			return s
		}
		opened := make(map[time.Duration]session.Store)
		empty := func(t *testing.T, maxAge time.Duration) session.Store {
			if opened[maxAge] == nil {
				opened[maxAge] = reopen(maxAge)
			}
			c.purge(t, "WW_"+o.App+"_sessions")
			return opened[maxAge]
		}
		sessiontest.Harness{
			Open:         func(t *testing.T) session.Store { return empty(t, -1) },
			OpenExpiring: empty,
			Reopen:       func(*testing.T, session.Store) session.Store { return reopen(-1) },
		}.Run(t)
	})
}

// rotating is a store that is another node for each call.
type rotating struct {
	mu     sync.Mutex
	n      int
	stores []session.Store
}

func (r *rotating) next() session.Store {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	return r.stores[r.n%len(r.stores)]
}

func (r *rotating) Save(ctx context.Context, s session.Session) error { return r.next().Save(ctx, s) }

func (r *rotating) Load(ctx context.Context, key string) (session.Session, error) {
	return r.next().Load(ctx, key)
}

func (r *rotating) Touch(ctx context.Context, key string, seen time.Time) error {
	return r.next().Touch(ctx, key, seen)
}

func (r *rotating) Update(ctx context.Context, key string, info json.RawMessage) error {
	return r.next().Update(ctx, key, info)
}

func (r *rotating) Delete(ctx context.Context, key string) error { return r.next().Delete(ctx, key) }
