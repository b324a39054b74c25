package soak_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// signals counts signals that are numbered from 1 on.
type signals struct {
	last    atomic.Uint64
	lost    atomic.Uint64
	doubled atomic.Uint64 // or late
}

// take counts a signal. It is not called concurrently.
func (s *signals) take(n uint64) {
	switch last := s.last.Load(); {
	case n <= last:
		s.doubled.Add(1)
		return
	case n > last+1:
		s.lost.Add(n - last - 1)
	}
	s.last.Store(n)
}

// Requests and signals in both directions, through a network that resets connections all
// the time: each request is executed once and answered, each signal arrives once.
func TestResumeUnderResets(t *testing.T) {
	const (
		clients = 32
		each    = 8                    // requests in flight of a client
		ahead   = 64                   // signals of a client without an answer
		every   = 128                  // requests there is a reset, in short: however slow the machine is
		pause   = 2 * time.Millisecond // between resets, in full: one of all connections each time
	)
	requests, exchanged := load.Either[uint64](800_000, 8_000), load.Either[uint64](500_000, 4_000)
	before := runtime.NumGoroutine()
	executions, asked := make([]atomic.Uint32, requests), make([]atomic.Uint32, requests)
	var odd atomic.Pointer[string]
	note := func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		odd.CompareAndSwap(nil, &text)
	}

	// Every fourth request makes the server ask the client. A signal is answered with one.
	var toServer sync.Map // *signals of each *server.Conn
	srv := load.Start(t, server.Options{Hooks: server.Hooks{
		OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			n, ok := parseNumber(r.Payload)
			if !ok || n >= requests {
				note("the request %q arrived", r.Payload.Data)
				return r.Payload, nil
			}
			executions[n].Add(1)
			if n%4 == 0 {
				reply, err := r.Conn.Request(ctx, "ask", r.Payload)
				if got, ok := parseNumber(reply); err != nil || !ok || got != n {
					note("the server asked %d, the answer is %d, %v", n, got, err)
				}
			}
			return r.Payload, nil
		},
		OnSignal: func(ctx context.Context, s *server.Signal) {
			n, _ := parseNumber(s.Payload)
			counts, _ := toServer.LoadOrStore(s.Conn, new(signals))
			counts.(*signals).take(n)
			if err := s.Conn.Signal(ctx, "echo", s.Payload); err != nil {
				note("signal to the client: %v", err)
			}
		},
	}}, load.Site{})
	p := newProxy(t, srv.Addr)
	all := make([]*client.Client, clients)
	toClients := make([]signals, clients)
	room := make([]chan struct{}, clients)
	closing := make(chan struct{})
	for i := range all {
		room[i] = make(chan struct{}, ahead)
		var mux client.Mux
		mux.Request("ask", func(_ context.Context, r *client.Request) (protocol.Payload, error) {
			if n, ok := parseNumber(r.Payload); ok && n < requests {
				asked[n].Add(1)
			}
			return r.Payload, nil
		})
		mux.Signal("echo", func(_ context.Context, s *client.Signal) {
			n, _ := parseNumber(s.Payload)
			toClients[i].take(n)
			<-room[i]
		})
		all[i] = load.NewClient(p.addr(), client.Options{
			MinBackoff: time.Millisecond, MaxBackoff: 4 * time.Millisecond, Handler: &mux,
			Hooks: client.Hooks{
				OnGap: func(_ context.Context, g client.Gap) { note("a gap is told: %+v", g) },
				OnDisconnected: func(_ context.Context, err error) {
					select {
					case <-closing:
					default:
						note("a connection ended: %v", err)
					}
				},
			},
		})
		if err := all[i].Connect(context.Background()); err != nil {
			t.Fatal(err)
		}
	}

	began := time.Now()
	var next, resets, succeeded atomic.Uint64
	var working sync.WaitGroup
	stop := make(chan struct{})
	var resetting sync.WaitGroup
	if load.Full {
		resetting.Go(func() {
			ticker := time.NewTicker(pause)
			defer ticker.Stop()
			for done := time.Duration(0); ; {
				select {
				case <-ticker.C:
				case <-stop:
					return
				}
				for ; done < time.Since(began)/pause; done++ { // ticks may be missing
					if p.resetAny() {
						resets.Add(1)
					}
				}
			}
		})
	}
	for i, c := range all {
		for range each {
			working.Go(func() {
				for n := next.Add(1) - 1; n < requests; n = next.Add(1) - 1 {
					if !load.Full && n%every == 0 && p.resetAny() {
						resets.Add(1)
					}
					reply, err := c.Request(context.Background(), "echo", number(n))
					if got, ok := parseNumber(reply); err != nil || !ok || got != n {
						note("the reply to %d is %d, %v", n, got, err)
						continue
					}
					succeeded.Add(1)
				}
			})
		}
		working.Go(func() {
			for n := range exchanged / clients {
				room[i] <- struct{}{}
				if err := c.Signal(context.Background(), "count", number(n+1)); err != nil {
					note("signal to the server: %v", err)
					return
				}
			}
			limit := time.NewTimer(time.Minute)
			defer limit.Stop()
			for range ahead { // until all are answered
				select {
				case room[i] <- struct{}{}:
				case <-limit.C:
					note("signals have no answer after a minute")
					return
				}
			}
		})
	}
	working.Wait()
	took := time.Since(began)
	close(stop)
	resetting.Wait()
	close(closing)
	resumes := uint64(0)
	for _, c := range all {
		resumes += c.Stats().Resumes
	}
	closeAll(all)
	p.close()
	if err := srv.Retire(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}

	var there, back, lost, doubled uint64
	count := func(s *signals, to *uint64) {
		*to += s.last.Load()
		lost += s.lost.Load()
		doubled += s.doubled.Load()
	}
	toServer.Range(func(_, s any) bool { count(s.(*signals), &there); return true })
	for i := range toClients {
		count(&toClients[i], &back)
	}
	wrong, asks := 0, uint64(0)
	for n := range executions {
		if executions[n].Load() != 1 || asked[n].Load() != uint32(either01(n%4 == 0)) {
			wrong++
		}
		asks += uint64(asked[n].Load())
	}
	report(t, "requests=%d of clients, %d of the server: answered=%d not executed once=%d; signals=%d+%d lost=%d doubled=%d; resets=%d, one every %.1f ms; resumes=%d seconds=%.1f",
		requests, asks, succeeded.Load(), wrong, there, back, lost, doubled, resets.Load(), ms(took)/float64(resets.Load()), resumes, took.Seconds())
	load.Figure("resets", "each request once, each signal once", "%d; requests not executed once and answered: %d; signals lost: %d, doubled: %d", resets.Load(), wrong, lost, doubled)
	if text := odd.Load(); text != nil {
		t.Error(*text)
	}
	if succeeded.Load() != requests || wrong != 0 {
		t.Error("requests were not executed once and answered each")
	}
	if there != exchanged || back != exchanged || lost != 0 || doubled != 0 {
		t.Error("signals did not arrive once each")
	}
	if resumes == 0 || resumes < resets.Load()/10 {
		t.Error("the test did not test what it should")
	}
	load.WantGoroutines(t, before)
}

func either01(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Sockets are lost one by one while the server lives, with the default options.
func TestResumeAfterReset(t *testing.T) {
	n := load.Either(500, 20)
	before := runtime.NumGoroutine()
	srv := load.Start(t, server.Options{Hooks: server.Hooks{OnRequest: login}}, load.Site{})
	p := newProxy(t, srv.Addr)
	r := newReturns(t, n, p, client.Options{})
	p.resetEach(10 * time.Millisecond)
	times := r.await(t, soon)
	attempts := r.attempts()
	closeAll(r.all)
	srv.Drop()
	p.close()
	median := times[n/2]
	report(t, "clients=%d resumed=%d median=%.2fs last=%.2fs attempts<=%d", n, len(times), median.Seconds(), times[n-1].Seconds(), attempts)
	load.Figure("resumed after a reset, median", "600 ms", "%.2f s", median.Seconds())
	if load.Full && median > 600*time.Millisecond {
		t.Errorf("the median is %v", median)
	}
	load.WantGoroutines(t, before)
}

// Clients that are cut off from a server that lives come back soon, not all at once, and
// without knocking all the time.
func TestResumeAfterOutage(t *testing.T) {
	n := load.Either(2000, 100)
	away := load.Either(5*time.Second, 500*time.Millisecond)
	before := runtime.NumGoroutine()
	srv := load.Start(t, server.Options{Hooks: server.Hooks{OnRequest: login}}, load.Site{})
	p := newProxy(t, srv.Addr)
	opts := client.Options{}
	if !load.Full {
		opts.MinBackoff, opts.MaxBackoff = 100*time.Millisecond, time.Second
	}
	r := newReturns(t, n, p, opts)
	p.refuse(true)
	p.resetAll()
	timer := time.NewTimer(away)
	<-timer.C
	p.refuse(false)
	back := time.Now()
	r.back.Store(&back)
	times := r.await(t, 2*soon)
	most := r.attempts()
	tries := p.accepted(back)
	closeAll(r.all)
	srv.Drop()
	p.close()
	last := times[n-1]
	mean := float64(len(tries)) / last.Seconds()
	peak, brief := busiest(tries, 250*time.Millisecond), busiest(tries, 100*time.Millisecond)
	report(t, "clients=%d away=%v resumed=%d last=%.2fs median=%.2fs; attempts per second: mean=%.0f peak/mean=%.2f in 250 ms, %.2f in 100 ms; attempts<=%d",
		n, away, len(times), last.Seconds(), times[n/2].Seconds(), mean, peak/mean, brief/mean, most)
	load.Figure("resumed after an outage of "+away.String(), "10 s", "%d of %d within %.1f s, at most %d attempts each", len(times), n, last.Seconds(), most)
	load.Figure("attempts in 250 ms after an outage, peak/mean", "2", "%.2f", peak/mean)
	if last > soon {
		t.Errorf("the last client was back after %v", last)
	}
	if load.Full && peak > 2*mean {
		t.Errorf("the peak is %.2f × the mean", peak/mean)
	}
	if most > attempts {
		t.Errorf("a client made %d attempts", most)
	}
	load.WantGoroutines(t, before)
}

// busiest returns the highest rate of events per second in a window.
func busiest(times []time.Duration, window time.Duration) float64 {
	most := 0
	for i, from := range times {
		j, _ := slices.BinarySearch(times, from+window)
		most = max(most, j-i)
	}
	return float64(most) / window.Seconds()
}

// returns are clients that lose their sockets and come back.
type returns struct {
	all   []*client.Client
	made  []uint64                  // attempts before
	back  atomic.Pointer[time.Time] // end of the outage, nil if there was none
	times chan time.Duration        // from the end of the outage on, or from the loss
	ended atomic.Uint64             // connections
}

func newReturns(t *testing.T, n int, p *proxy, opts client.Options) *returns {
	t.Helper()
	r := &returns{all: make([]*client.Client, n), made: make([]uint64, n), times: make(chan time.Duration, n)}
	var connecting sync.WaitGroup
	turn := make(chan struct{}, 50)
	for i := range r.all {
		opts := opts
		var from time.Time
		opts.Hooks.OnAway = func(context.Context, error) { from = time.Now() }
		opts.Hooks.OnBack = func(context.Context) {
			if back := r.back.Load(); back != nil {
				from = *back
			}
			r.times <- time.Since(from)
		}
		opts.Hooks.OnDisconnected = func(context.Context, error) { r.ended.Add(1) }
		r.all[i] = load.NewClient(p.addr(), opts)
		connecting.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			if err := r.all[i].Connect(context.Background()); err != nil {
				t.Errorf("Connect: %v", err)
			}
		})
	}
	connecting.Wait()
	for i, c := range r.all {
		r.made[i] = c.Stats().Attempts
	}
	return r
}

// await returns how long each client took to come back, in order.
func (r *returns) await(t *testing.T, limit time.Duration) (times []time.Duration) {
	t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for range r.all {
		select {
		case d := <-r.times:
			times = append(times, d)
		case <-timer.C:
			t.Fatalf("%d of %d clients are back after %v, %d connections ended", len(times), len(r.all), limit, r.ended.Load())
		}
	}
	if n := r.ended.Load(); n > 0 {
		t.Errorf("%d connections ended", n)
	}
	slices.Sort(times)
	return times
}

// attempts returns the most attempts that a client made to come back.
func (r *returns) attempts() (most uint64) {
	for i, c := range r.all {
		most = max(most, c.Stats().Attempts-r.made[i])
	}
	return most
}
