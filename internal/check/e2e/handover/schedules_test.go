package handover_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

var schedules = flag.Int("schedules", 0, "number of random schedules of TestSchedules; 0: 300, or 10000 if WEBWIRE_SOAK is set")

// Whatever happens between the nodes, each request of a client is executed at most once,
// and has one outcome that is true; signals come in order; a subscription misses nothing.
func TestSchedules(t *testing.T) {
	n := *schedules
	if n == 0 {
		n = 300
		if os.Getenv("WEBWIRE_SOAK") != "" {
			n = 10_000
		}
	}
	for i := range n {
		seed := uint64(i) + uint64(*firstSeed)
		synctest.Test(t, func(t *testing.T) { newSchedule(t, seed).run() })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

var firstSeed = flag.Int("seed", 0, "the first seed of TestSchedules")

const (
	scheduleNodes = 3
	scheduleSteps = 25
)

// schedule is a client and nodes to which things happen at random. It knows what is still
// promised: if a node is killed that has something to do with the connection, some of it is
// not.
type schedule struct {
	t       *testing.T
	rng     *rand.Rand
	seed    uint64
	c       *cluster
	m       *member
	buses   [scheduleNodes]*bus // guarded by mu
	busy    sync.WaitGroup
	routes  *rand.Rand  // guarded by mu
	killed  atomic.Bool // a node was killed
	cutOff  atomic.Bool // the connection may have been given up: a node was not reached in time, or there was none
	closing [scheduleNodes]atomic.Bool

	mu        sync.Mutex
	trace     []string
	executed  map[string]int
	signals   map[int]bool // that have arrived: those of a connection that was given up may come late
	echoes    map[int]bool
	gaps      int
	asked     int
	sent      int
	arrived   int // number of the next signal at the nodes
	echoed    int // of the next echo at the client
	published int
	seen      int // of the next publication
}

func newSchedule(t *testing.T, seed uint64) *schedule {
	s := &schedule{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 7)), routes: rand.New(rand.NewPCG(seed, 8)), executed: make(map[string]int), signals: make(map[int]bool), echoes: make(map[int]bool)}
	concurrency := 1 + s.rng.IntN(4)
	s.c = newCluster(t, 0, func(i int) server.Options {
		e, bus := s.c.failing()
		s.mu.Lock()
		s.buses[i] = bus
		s.mu.Unlock()
		o := server.Options{
			Engine: e, Topics: history, Concurrency: concurrency,
			Logger: slog.New(slog.NewTextHandler(writer(func(b []byte) { s.say("node %d: %s", i, b) }), nil)),
			Hooks: server.Hooks{
				OnRequest: s.request,
				OnSignal:  s.signal,
				OnSubscribe: func(context.Context, *server.Conn, string) (any, error) {
					s.say("subscribe at %d", i)
					return nil, nil
				},
				OnClientBack: func(_ context.Context, c *server.Conn) error {
					s.say("back at %d, moved %t", i, c.Info().Moved)
					return nil
				},
				OnClientAway: func(_ *server.Conn, reason error) { s.say("away from %d: %v", i, reason) },
				OnClientConnected: func(context.Context, *server.Conn) error {
					s.say("connected at %d", i)
					return nil
				},
				OnClientDisconnected: func(_ *server.Conn, reason error) { s.say("disconnected from %d: %v", i, reason) },
			},
		}
		return o
	})
	for i := range scheduleNodes {
		s.c.start(i)
	}
	s.m = s.c.join(0, client.Options{
		OutboxSize: 1 << 20,
		Hooks: client.Hooks{
			OnServerSignal: s.echo,
			OnGap: func(_ context.Context, g client.Gap) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.gaps++
				s.note("gap %+v", g)
			},
		},
	})
	return s
}

func (s *schedule) bus(i int) *bus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buses[i]
}

// writer is a function as an io.Writer.
type writer func([]byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

// note adds to the trace. The caller holds mu.
func (s *schedule) note(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf(format, args...))
}

func (s *schedule) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(format, args...)
}

// fail fails the test. The caller holds mu.
func (s *schedule) fail(format string, args ...any) {
	s.t.Errorf("seed %d: %s\n%s", s.seed, fmt.Sprintf(format, args...), strings.Join(s.trace, "\n"))
}

// request executes a request, whose payload is its number and how long it takes.
func (s *schedule) request(ctx context.Context, r *server.Request) (protocol.Payload, error) {
	s.mu.Lock()
	s.executed[r.Payload.Text()]++
	s.note("executed %s", r.Payload.Text())
	s.mu.Unlock()
	var n, ms int
	if _, err := fmt.Sscan(r.Payload.Text(), &n, &ms); err != nil {
		return protocol.Payload{}, err
	}
	if err := sleep(ctx, time.Duration(ms)*time.Millisecond); err != nil {
		return protocol.Payload{}, err
	}
	return r.Payload, nil
}

func (s *schedule) signal(ctx context.Context, sig *server.Signal) {
	var n int
	_, err := fmt.Sscan(sig.Payload.Text(), &n)
	s.mu.Lock()
	if s.signals[n] || n != s.arrived && s.whole() || err != nil {
		s.fail("signal %q arrives, want %d", sig.Payload.Text(), s.arrived)
	}
	s.signals[n] = true
	s.arrived = n + 1
	s.mu.Unlock()
	if err := sig.Conn.Signal(ctx, "echo", sig.Payload); err != nil && s.whole() {
		s.say("echo %d: %v", n, err)
	}
}

func (s *schedule) echo(_ context.Context, sig *client.Signal) {
	var n int
	_, err := fmt.Sscan(sig.Payload.Text(), &n)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.echoes[n] || n != s.echoed && s.whole() || err != nil {
		s.fail("echo %q comes, want %d", sig.Payload.Text(), s.echoed)
	}
	s.echoes[n] = true
	s.echoed = n + 1
}

// whole reports whether everything is still promised.
func (s *schedule) whole() bool { return !s.killed.Load() && !s.cutOff.Load() }

func (s *schedule) ask() {
	ms := 0
	if s.rng.IntN(3) > 0 {
		ms = s.rng.IntN(6000)
	}
	text := fmt.Sprint(s.asked, ms)
	s.asked++
	s.say("ask %s", text)
	s.busy.Go(func() {
		reply, err := s.m.Request(s.t.Context(), "r", protocol.Text(text))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.note("outcome of %s: %q, %v", text, reply.Text(), err)
		n := s.executed[text]
		switch {
		case n > 1:
			s.fail("request %s was executed %d times", text, n)
		case err == nil && (n != 1 || reply.Text() != text):
			s.fail("request %s: reply %q, executed %d times", text, reply.Text(), n)
		case err != nil && s.whole():
			s.fail("request %s: %v", text, err)
		case err != nil && n > 0 && !client.MaybeExecuted(err):
			s.fail("request %s was executed: %v", text, err)
		}
	})
}

func (s *schedule) send() {
	for range 1 + s.rng.IntN(4) {
		switch err := s.m.Signal(s.t.Context(), "s", protocol.Text(fmt.Sprint(s.sent))); {
		case err == nil:
			s.sent++
		case !errors.Is(err, client.ErrDisconnected):
			s.mu.Lock()
			s.fail("signal: %v", err)
			s.mu.Unlock()
		}
	}
}

func (s *schedule) publish() {
	i := s.rng.IntN(scheduleNodes)
	for range 1 + s.rng.IntN(4) {
		if _, err := s.c.node(i).Topic("room").Publish(s.t.Context(), fmt.Sprint(s.published), text("x")); err == nil {
			s.published++
		}
	}
}

func (s *schedule) follow(sub *client.Subscription) {
	for msg, err := range sub.Messages(s.t.Context()) {
		if err != nil {
			return // closed in the end
		}
		var n int
		_, err := fmt.Sscan(msg.Name, &n)
		s.mu.Lock()
		if n != s.seen || err != nil {
			s.fail("publication %q, want %d", msg.Name, s.seen)
		}
		s.seen = n + 1
		s.mu.Unlock()
	}
}

// lose makes questions between nodes fail for a while, each once in a while.
func (s *schedule) lose() {
	i := s.rng.IntN(scheduleNodes)
	seed, left := s.rng.Uint64(), 1+s.rng.IntN(6)
	rng := rand.New(rand.NewPCG(seed, 1))
	s.say("questions of node %d are lost", i)
	s.cutOff.Store(true) // twice without an answer ends the connection
	var mu sync.Mutex
	s.bus(i).setFail(func(byte) failure {
		mu.Lock()
		defer mu.Unlock()
		if left--; left < 0 {
			return works
		}
		return failure(rng.IntN(3))
	})
}

func (s *schedule) restart() {
	i := s.rng.IntN(scheduleNodes)
	if s.closing[i].Load() {
		return
	}
	s.closing[i].Store(true)
	all := true
	for n := range s.closing {
		all = all && s.closing[n].Load()
	}
	if all {
		s.cutOff.Store(true) // there is no node to which the client could go
	}
	if s.rng.IntN(8) == 0 {
		s.say("kill %d", i)
		s.killed.Store(true)
		_ = s.c.node(i).Close()
		s.c.start(i)
		s.closing[i].Store(false)
		return
	}
	s.say("restart %d", i)
	s.busy.Go(func() {
		if err := s.c.node(i).Shutdown(s.t.Context()); err != nil {
			s.mu.Lock()
			s.fail("Shutdown: %v", err)
			s.mu.Unlock()
		}
		s.c.start(i)
		s.closing[i].Store(false)
		s.say("restarted %d", i)
	})
}

// choose returns a node that is open.
func (s *schedule) choose() int {
	s.mu.Lock()
	first := s.routes.IntN(scheduleNodes)
	s.mu.Unlock()
	for i := range scheduleNodes {
		if n := (first + i) % scheduleNodes; !s.closing[n].Load() {
			return n
		}
	}
	return -1
}

func (s *schedule) run() {
	sub, err := s.m.Subscribe(s.t.Context(), "room", client.SubscribeOptions{OnGap: func(g *client.GapError) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fail("gap in the topic: %v", g)
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.busy.Go(func() { s.follow(sub) })
	s.m.route.choose(s.choose)
	for range scheduleSteps {
		switch n := s.rng.IntN(20); {
		case n < 6:
			s.ask()
		case n < 9:
			s.send()
		case n < 12:
			s.publish()
		case n < 16:
			s.say("cut")
			s.m.route.cut()
		case n < 17 && s.seed%3 == 0:
			s.lose()
		case n < 18 && s.seed%3 != 1:
			s.restart()
		}
		switch s.rng.IntN(4) {
		case 0:
		case 1:
			synctest.Wait()
		case 2:
			time.Sleep(time.Duration(s.rng.IntN(100)) * time.Millisecond)
		default:
			time.Sleep(time.Duration(s.rng.IntN(3000)) * time.Millisecond)
		}
	}
	for i := range s.buses {
		s.bus(i).setFail(nil)
	}
	time.Sleep(2 * time.Minute) // until all is settled
	sub.Close()
	s.busy.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen != s.published {
		s.fail("%d publications, %d have come", s.published, s.seen)
	}
	if s.whole() {
		if st := s.m.Stats(); st.Connects != 1 || s.gaps > 0 {
			s.fail("%d connections, %d gaps", st.Connects, s.gaps)
		}
		if s.arrived != s.sent || s.echoed != s.sent {
			s.fail("%d signals, %d have arrived, %d echoes", s.sent, s.arrived, s.echoed)
		}
	}
}
