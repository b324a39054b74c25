package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// shape is how many connections have how many requests in flight each.
type shape struct {
	name         string
	conns, depth int
}

var shapes = []shape{{"1x1", 1, 1}, {"1x64", 1, 64}, {"64x1", 64, 1}}

const signals = "signals" // the shape of the rows about messages one way

// series is what was measured of one contender, round by round.
type series struct {
	contender string
	payload   int
	shape     string
	rounds    []sample
}

func (s *series) median(of metric) float64 {
	values := make([]float64, len(s.rounds))
	for i, r := range s.rounds {
		values[i] = of(r)
	}
	return median(values)
}

type metric func(sample) float64

func rps(s sample) float64    { return s.RPS }
func cpu(s sample) float64    { return s.CPU }
func allocs(s sample) float64 { return s.Allocs }
func p50(s sample) float64    { return s.P50 }
func p99(s sample) float64    { return s.P99 }

// ratio compares two contenders round by round: what the machine does to a round it
// does to both of them. It returns the median of the quotients.
func ratio(a, b *series, of metric) float64 {
	var quotients []float64
	for i := range min(len(a.rounds), len(b.rounds)) {
		if d := of(b.rounds[i]); d > 0 {
			quotients = append(quotients, of(a.rounds[i])/d)
		}
	}
	return median(quotients)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	values = slices.Sorted(slices.Values(values))
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// effort is how long and how often to measure.
type effort struct {
	rounds int
	each   time.Duration
}

// runner is a contender at work.
type runner struct {
	*series
	measure func(time.Duration) (sample, error)
	close   func()
}

// interleave measures the runners in turn, in the opposite order every second
// round, and closes them.
func interleave(e effort, runners []*runner) error {
	defer func() {
		for _, r := range runners {
			r.close()
		}
	}()
	for round := range e.rounds {
		for i := range runners {
			r := runners[i]
			if round%2 == 1 {
				r = runners[len(runners)-1-i]
			}
			s, err := r.measure(e.each)
			if err != nil {
				return fmt.Errorf("%s, %s, %d bytes: %w", r.contender, r.shape, r.payload, err)
			}
			r.rounds = append(r.rounds, s)
		}
	}
	return nil
}

// requests measures request and reply of all contenders in one shape. Contenders whose
// calls take a context are measured a second time with a deadline per call, for the
// smallest payload, on the same connections.
func requests(e effort, all []contender, payload int, sh shape) ([]*series, error) {
	var runners []*runner
	var result []*series
	for _, c := range all {
		conns, stop, err := connect(c, payload, sh.conns)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		add := func(name string, conns []conn, stop func()) {
			s := &series{contender: name, payload: payload, shape: sh.name}
			result = append(result, s)
			runners = append(runners, &runner{s, func(d time.Duration) (sample, error) { return measure(conns, sh.depth, d) }, stop})
		}
		add(c.name, conns, stop)
		if limited := limitedConns(conns); limited != nil && payload == payloads[0] {
			add(c.name+withDeadline, limited, func() {})
		}
	}
	return result, interleave(e, runners)
}

// limitedConns returns conns with a deadline per call, or nil if their calls take no
// context.
func limitedConns(conns []conn) []conn {
	var all []conn
	for _, c := range conns {
		if l, ok := c.(limiter); ok {
			all = append(all, l.limited())
		}
	}
	return all
}

// oneWay measures signals on one connection of each contender that has them.
func oneWaySignals(e effort, all []contender, payload int) ([]*series, error) {
	var runners []*runner
	var result []*series
	for _, c := range all {
		conns, stop, err := connect(c, payload, 1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		sig, ok := conns[0].(signaller)
		if !ok {
			stop()
			continue
		}
		s := &series{contender: c.name, payload: payload, shape: signals}
		result = append(result, s)
		runners = append(runners, signalRunner(s, sig, stop))
	}
	return result, interleave(e, runners)
}

func signalRunner(s *series, sig signaller, stop func()) *runner {
	return &runner{s, func(d time.Duration) (sample, error) {
		return measureLoad(d, signallers, func(r *run) error {
			err := sig.signal(r)
			for _, l := range r.lanes {
				l.latencies = histogram{} // how long sending takes says nothing
			}
			return err
		})
	}, stop}
}

// connect starts a contender and n connections to it.
func connect(c contender, payload, n int) (conns []conn, stop func(), err error) {
	s, err := c.serve(payload)
	if err != nil {
		return nil, nil, err
	}
	conns = make([]conn, n)
	stop = func() {
		for _, c := range conns {
			if c != nil {
				c.close()
			}
		}
		s.close()
	}
	var g errgroup.Group
	g.SetLimit(16) // a server's backlog is short
	for i := range conns {
		g.Go(func() error {
			c, err := s.dial()
			if err == nil {
				conns[i] = c
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		stop()
		return nil, nil, err
	}
	return conns, stop, nil
}

// find returns the series about a contender, nil if there is none.
func find(all []*series, contender string, payload int, shape string) *series {
	i := slices.IndexFunc(all, func(s *series) bool {
		return s.contender == contender && s.payload == payload && s.shape == shape
	})
	if i < 0 {
		return nil
	}
	return all[i]
}

// progress tells on standard error what goes on.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

var errNone = errors.New("no contender has such a name")
