package sim

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seeds  = flag.Int("sim.seeds", 150, "how many schedules to run")
	first  = flag.Uint64("sim.first", 1, "the first of them")
	seed   = flag.Uint64("sim.seed", 0, "run this schedule only")
	repeat = flag.Int("sim.repeat", 100, "how often to run it")
)

func TestSim(t *testing.T) {
	run := func(i int) uint64 { return *first + uint64(i) }
	n := *seeds
	if *seed != 0 {
		run = func(int) uint64 { return *seed }
		n = *repeat
	}
	if testing.Short() {
		n = min(n, 50)
	}
	start := time.Now()
	var next, violations atomic.Int64
	report := func(s uint64, text string) {
		violations.Add(1)
		t.Errorf("seed %d: %s", s, text)
	}
	summary := func() {
		fmt.Printf("schedules=%d violations=%d seconds=%.1f\n", n, violations.Load(), time.Since(start).Seconds())
	}
	// A bubble cannot be left while something hangs in it, and has a time of its own.
	hung := make(chan string)
	go func() {
		fmt.Println(<-hung)
		violations.Add(1)
		summary()
		os.Exit(1)
	}()
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				s := run(int(i))
				found := schedule(t, Config{Seed: s, Hung: func(what string) {
					hung <- fmt.Sprintf("seed %d: %s", s, what)
					select {}
				}})
				for _, v := range found {
					report(s, v)
				}
			}
		})
	}
	workers.Wait()
	t.Cleanup(summary)
	if violations.Load() > 0 {
		t.Log("to run one of them again and again: make sim SEED=<seed>")
	}
}

// schedule runs a schedule in a bubble of its own.
func schedule(t *testing.T, cfg Config) (found []string) {
	defer func() {
		if p := recover(); p != nil {
			found = append(found, fmt.Sprint(p)) // goroutines were left behind
		}
	}()
	synctest.Test(t, func(*testing.T) { found = Run(cfg) })
	return found
}
