package main

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// run is one stretch of load.
type run struct {
	stop  atomic.Bool
	every int // one request in so many is timed

	lanes []*lane // guarded by those that are free
}

// lane counts what one goroutine does.
type lane struct {
	run       *run
	count     uint64
	latencies histogram
}

func (r *run) over() bool { return r.stop.Load() }

// lanes are used again: a thousand new ones would cost more than the requests of
// a short run.
var lanes struct {
	sync.Mutex
	free []*lane
}

func (r *run) lane() *lane {
	lanes.Lock()
	defer lanes.Unlock()
	l := new(lane)
	if n := len(lanes.free); n > 0 {
		l = lanes.free[n-1]
		lanes.free = lanes.free[:n-1]
	}
	l.run = r
	r.lanes = append(r.lanes, l)
	return l
}

// done gives the lanes back.
func (r *run) done() {
	lanes.Lock()
	defer lanes.Unlock()
	for _, l := range r.lanes {
		*l = lane{}
	}
	lanes.free = append(lanes.free, r.lanes...)
	r.lanes = nil
}

// timed reports whether to time the n-th request.
func (r *run) timed(n uint64) bool { return n%uint64(r.every) == 0 }

// calls has depth goroutines make calls one after another, which is what clients
// do with a library of requests and replies. Each makes at least one, however short
// the run is.
func (r *run) calls(depth int, caller func() func() error) error {
	var g errgroup.Group
	for range depth {
		l, call := r.lane(), caller()
		g.Go(func() error {
			for {
				if err := l.measure(call); err != nil {
					return err
				}
				if r.over() {
					return nil
				}
			}
		})
	}
	return g.Wait()
}

// measure counts a call, and times it if it is one of those that are timed.
func (l *lane) measure(call func() error) error {
	if !l.run.timed(l.count) {
		if err := call(); err != nil {
			return err
		}
		l.count++
		return nil
	}
	begin := time.Now()
	if err := call(); err != nil {
		return err
	}
	l.count++
	l.latencies.add(time.Since(begin))
	return nil
}

// sample is what was measured in one run.
type sample struct {
	RPS    float64 // requests per second
	CPU    float64 // µs per request, both ends
	Allocs float64 // per request, both ends
	P50    float64 // µs
	P99    float64 // µs
}

// timedOf is how few requests are timed where many are in flight: at a million of
// them per second looking at the clock twice would cost a tenth.
const timedOf = 8

// patience is how long requests in flight may take at the end of a run.
const patience = time.Minute

var errHangs = errors.New("requests in flight have no end")

// measure puts load on conns for the given time, after a sixth of that to warm up.
func measure(conns []conn, depth int, d time.Duration) (sample, error) {
	return measureLoad(d, depth, loadOn(conns, depth))
}

func loadOn(conns []conn, depth int) func(*run) error {
	return func(r *run) error {
		var g errgroup.Group
		for _, c := range conns {
			g.Go(func() error { return c.load(depth, r) })
		}
		return g.Wait()
	}
}

func measureLoad(d time.Duration, depth int, load func(*run) error) (sample, error) {
	s, _, err := measureTimes(d, depth, load)
	return s, err
}

// measureTimes returns the latencies too.
func measureTimes(d time.Duration, depth int, load func(*run) error) (sample, *histogram, error) {
	every := 1
	if depth > 1 {
		every = timedOf
	}
	if _, _, err := stretch(&run{every: every}, d/6, load); err != nil {
		return sample{}, nil, err
	}
	runtime.GC() // what others left behind shall not be collected now
	return stretch(&run{every: every}, d, load)
}

func stretch(r *run, d time.Duration, load func(*run) error) (sample, *histogram, error) {
	done := make(chan error, 1)
	before := usageNow()
	go func() { done <- load(r) }()
	select {
	case err := <-done:
		return sample{}, nil, fmt.Errorf("load ended early: %w", err)
	case <-time.After(d):
	}
	r.stop.Store(true)
	select {
	case err := <-done:
		if err != nil {
			return sample{}, nil, err
		}
	case <-time.After(patience):
		return sample{}, nil, errHangs
	}
	after := usageNow()

	all := histogram{}
	count := uint64(0)
	for _, l := range r.lanes {
		count += l.count
		all.merge(&l.latencies)
	}
	r.done()
	n := float64(max(count, 1))
	return sample{
		RPS:    float64(count) / after.at.Sub(before.at).Seconds(),
		CPU:    float64((after.cpu - before.cpu).Microseconds()) / n,
		Allocs: float64(after.mallocs-before.mallocs) / n,
		P50:    all.quantile(0.50),
		P99:    all.quantile(0.99),
	}, &all, nil
}

// usage is what the process used so far.
type usage struct {
	at      time.Time
	cpu     time.Duration
	mallocs uint64
}

func usageNow() usage {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		panic(err) // it cannot fail with these arguments
	}
	cpu := time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
	return usage{at: time.Now(), cpu: cpu, mallocs: mem.Mallocs}
}
