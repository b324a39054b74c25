package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/transporttest"
)

// Config is a schedule.
type Config struct {
	Seed uint64

	// Mutate changes the server's end of a connection to be wrong, to prove that the
	// simulation finds that. Nil: nothing is wrong.
	Mutate func(v protocol.Version, conn transport.Conn) transport.Conn

	// MutateServer changes the options of servers to be wrong. Nil: nothing is wrong.
	MutateServer func(*server.Options)

	// Hung is called, in the bubble, when something does not end. It must not return.
	Hung func(what string)
}

// world is a schedule at work.
type world struct {
	seed   uint64
	mutate func(protocol.Version, transport.Conn) transport.Conn
	change func(*server.Options)
	hung   func(string)
	h      *history
	faults *transporttest.Faults
	host   *host
	store  *slowStore

	// Decided by the seed.
	version     protocol.Version
	readTimeout time.Duration
	concurrency int
	boxSize     int           // of inboxes and outboxes
	grid        time.Duration // what happens, happens at multiples of it
	timeout     time.Duration // of requests
	lasts       time.Duration // until the faults end
	damaging    bool          // messages are damaged as well
	window      time.Duration // for which connections outlive their sockets

	talking sync.Mutex  // guards what the wires know
	robbed  atomic.Bool // a thief may have taken a connection

	mu      sync.Mutex
	clients []*simClient
	traps   *rand.Rand
	calm    bool                  // there are no faults any more
	keys    []string              // of sessions that clients had, the last one last
	down    transporttest.Refusal // what becomes of dials while there is no server
}

const (
	dialTimeout  = 5 * time.Second
	writeTimeout = transport.DefaultWriteTimeout
)

// modern reports whether the protocol of the schedule is 3.0.
func (w *world) modern() bool { return w.version >= protocol.V3_0 }

// absence is for how long a server keeps a connection whose client is gone.
func (w *world) absence() time.Duration {
	if w.window == 0 {
		return 2 * time.Minute // the default
	}
	return max(w.window, 0)
}

// silence is how long it may take to notice that a peer is silent.
func (w *world) silence() time.Duration {
	silence := w.readTimeout
	if silence == 0 {
		silence = transport.DefaultReadTimeout
	}
	return silence + silence/8
}

// Run runs a schedule and returns how the rules were violated. It is called in a
// bubble of testing/synctest, which fails if something is left behind.
func Run(cfg Config) []string { return run(cfg).check() }

func run(cfg Config) *history {
	r := rand.New(rand.NewPCG(cfg.Seed, 1))
	w := &world{
		seed:        cfg.Seed,
		mutate:      cfg.Mutate,
		change:      cfg.MutateServer,
		hung:        cfg.Hung,
		h:           newHistory(),
		faults:      transporttest.NewFaults(cfg.Seed),
		store:       &slowStore{Store: &session.MemoryStore{}, rand: rand.New(rand.NewPCG(cfg.Seed, 2))},
		version:     pick(r, append(protocol.Versions(), protocol.V3_0, protocol.V3_0, protocol.V3_0, protocol.V3_0)...),
		readTimeout: pick(r, 3*time.Second, 10*time.Second, 0),
		concurrency: pick(r, 0, 0, 1, 2),
		boxSize:     pick(r, 0, 0, 300, 10_000),
		grid:        pick(r, 1, 200*time.Millisecond, time.Second),
		timeout:     pick(r, 2*time.Second, 15*time.Second),
		lasts:       time.Duration(10+r.IntN(30)) * time.Second,
		damaging:    r.IntN(10) == 0,
		down:        transporttest.Refused,
		window:      pick(r, -1, 0, 0, time.Second, 10*time.Second),
	}
	w.traps = rand.New(rand.NewPCG(cfg.Seed, 6))
	w.h.damaged, w.h.modern, w.h.notice = w.damaging, w.modern(), w.silence()+writeTimeout+5*time.Second+w.absence()
	still := rand.New(rand.NewPCG(cfg.Seed, 9)).IntN(3) == 0
	if still {
		w.h.notice += w.longestStandstill()
	}
	w.host = &host{w: w, names: make(map[*server.Conn]*peer), met: make(map[int]*server.Conn), casts: make(map[*server.Server]*peer)}
	w.host.start()
	for i := range 1 + r.IntN(4) {
		w.clients = append(w.clients, newClient(w, i, r))
	}

	var actors sync.WaitGroup
	for _, c := range w.clients {
		actors.Go(c.act)
	}
	actors.Go(func() { w.restart(rand.New(rand.NewPCG(cfg.Seed, 3))) })
	actors.Go(func() { w.harm(rand.New(rand.NewPCG(cfg.Seed, 4))) })
	if w.modern() && !w.damaging {
		if r.IntN(3) == 0 {
			actors.Go(func() { w.absences(rand.New(rand.NewPCG(cfg.Seed, 8))) })
		}
		actors.Go(func() { w.prowl(rand.New(rand.NewPCG(cfg.Seed, 7))) })
	}
	actors.Go(func() { w.bother(rand.New(rand.NewPCG(cfg.Seed, 5))) })
	if still {
		actors.Go(func() { w.standstills(rand.New(rand.NewPCG(cfg.Seed, 10))) })
	}
	w.join(&actors, "the schedule", w.lasts+5*time.Minute)

	w.settle()
	w.finish()
	return w.h
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// join waits for a group whose goroutines must end within limit.
func (w *world) join(group *sync.WaitGroup, what string, limit time.Duration) {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		buf := make([]byte, 1<<20)
		w.hung(fmt.Sprintf("%s hangs after %v\n%s", what, limit, buf[:runtime.Stack(buf, true)]))
	}
}

// within calls f, which must return within limit.
func (w *world) within(what string, limit time.Duration, f func()) {
	start := time.Now()
	f()
	if took := time.Since(start); took > limit {
		w.h.violated("%s took %v, its limit is %v", what, took, limit)
	}
}

// pause lets virtual time pass, so that many things happen at the same instant.
func (w *world) pause(d time.Duration) { time.Sleep(d.Truncate(w.grid)) }

func upTo(r *rand.Rand, limit time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(limit)))
}

// restart replaces the server now and then.
func (w *world) restart(r *rand.Rand) {
	for end := time.Now().Add(w.lasts); ; {
		w.pause(w.grid + upTo(r, 20*time.Second))
		if time.Now().After(end) {
			return
		}
		srv := w.host.withdraw()
		if srv == nil {
			continue
		}
		w.setDown(pick(r, transporttest.Refused, transporttest.Hanging,
			transporttest.Unavailable(0), transporttest.Unavailable(upTo(r, 4*time.Second))))
		away := upTo(r, 6*time.Second)
		var ending sync.WaitGroup
		for range 1 + r.IntN(2) {
			if r.IntN(3) == 0 {
				ending.Go(func() { _ = srv.Close() })
				continue
			}
			limit := upTo(r, 4*time.Second)
			ending.Go(func() { w.shutdown(srv, limit) })
		}
		w.pause(away)
		w.host.start()
		ending.Wait()
		w.end(srv)
	}
}

func (w *world) setDown(how transporttest.Refusal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = how
}

func (w *world) shutdown(srv *server.Server, limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	w.within("Shutdown", limit, func() {
		if err := srv.Shutdown(ctx); err != nil && ctx.Err() == nil {
			w.h.violated("Shutdown: %v", err)
		}
	})
}

// end ends a server for good.
func (w *world) end(srv *server.Server) {
	w.within("Close of a server", 0, func() { _ = srv.Close() })
}

// slowest is how long a slow network takes for a message. A cancel is read after what was
// written before it, which may be 64 KiB of items of a byte: 1008 messages. They take less
// than history.notice.
const slowest = 15 * time.Millisecond

// harm does harm to the network.
func (w *world) harm(r *rand.Rand) {
	for end := time.Now().Add(w.lasts); time.Now().Before(end); w.pause(w.grid + upTo(r, 4*time.Second)) {
		conns := w.faults.Conns()
		if len(conns) == 0 {
			continue
		}
		c := pick(r, conns...)
		switch r.IntN(12) {
		case 0, 1, 2, 3:
			c.Cut()
		case 4:
			c.Vanish(true, true)
		case 5:
			c.Vanish(true, false)
		case 6:
			c.Vanish(false, true)
		case 7:
			c.Delay(upTo(r, 500*time.Millisecond))
		case 8:
			c.Slow(upTo(r, slowest))
		case 9:
			w.faults.Refuse(pick(r, transporttest.Refused, transporttest.Hanging, transporttest.Unavailable(upTo(r, 2*time.Second))))
		default:
			if w.damaging {
				c.Corrupt(1 + r.IntN(3))
			}
		}
	}
}

// bother does what servers do to their clients unasked.
func (w *world) bother(r *rand.Rand) {
	var busy sync.WaitGroup
	defer busy.Wait()
	for end := time.Now().Add(w.lasts); time.Now().Before(end); w.pause(w.grid + upTo(r, time.Second)) {
		srv := w.host.server()
		if srv == nil {
			continue
		}
		var conns []*server.Conn
		for c := range srv.Conns() {
			conns = append(conns, c)
		}
		if len(conns) == 0 {
			continue
		}
		c := pick(r, conns...)
		if w.modern() && r.IntN(3) == 0 {
			w.host.askAtRandom(r, c, &busy)
			continue
		}
		switch r.IntN(20) {
		case 5:
			if r.IntN(4) == 0 { // more than is kept for a client that is away
				for range 1100 {
					w.host.cast(srv)
				}
			}
		case 0:
			c.Close(transport.StatusNormalClosure, "")
		case 1:
			c.Abort()
		case 4:
			w.host.cast(srv)
		case 2, 3:
			if s, ok := c.Session(); ok {
				w.h.closing(s.Key)
				_ = srv.CloseSession(c.Context(), s.Key) // it may fail: the server is shut down
			}
		default:
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			for range 1 + r.IntN(3) {
				w.host.signal(ctx, c)
			}
			cancel()
		}
	}
}

// slowStore takes its time.
type slowStore struct {
	session.Store
	mu   sync.Mutex
	rand *rand.Rand
}

func (s *slowStore) wait() {
	s.mu.Lock()
	d := time.Duration(0)
	if s.rand.IntN(2) == 0 {
		d = upTo(s.rand, 200*time.Millisecond)
	}
	s.mu.Unlock()
	time.Sleep(d)
}

func (s *slowStore) Save(ctx context.Context, v session.Session) error {
	s.wait()
	return s.Store.Save(ctx, v)
}

func (s *slowStore) Load(ctx context.Context, key string) (session.Session, error) {
	s.wait()
	return s.Store.Load(ctx, key)
}

func (s *slowStore) Delete(ctx context.Context, key string) error {
	s.wait()
	return s.Store.Delete(ctx, key)
}

// status says what a client is doing, for messages.
func status(c *client.Client) string { return fmt.Sprintf("%v, %+v", c.Status(), c.Stats()) }
