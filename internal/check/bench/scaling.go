package main

import (
	"fmt"
	"slices"
	"time"
)

// scales are the numbers of connections with one request in flight each.
var scales = []int{1, 10, 100, 1000}

// scaled are ours, each with the raw frames that it is compared with.
var scaled = [][2]string{
	{ofDefault, "raw/gobwas"},
	{"webwire/stream", "raw/tcp"},
}

func scaleName(n int) string { return fmt.Sprintf("%dx1", n) }

// scalingPart measures what a request costs while the number of connections that
// have one in flight grows. All connections exist all the time.
func scalingPart(r *report, e effort, all []contender) error {
	e.each *= 2 // a thousand connections take a while to get going
	for _, c := range all {
		if !slices.ContainsFunc(scaled, func(pair [2]string) bool { return slices.Contains(pair[:], c.name) }) {
			continue
		}
		progress("  %s", c.name)
		conns, stop, err := connect(c, payloads[0], scales[len(scales)-1])
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		var runners []*runner
		for _, n := range scales {
			s := &series{contender: c.name, payload: payloads[0], shape: scaleName(n)}
			r.scaling = append(r.scaling, s)
			runners = append(runners, &runner{s, func(d time.Duration) (sample, error) { return measure(conns[:n], 1, d) }, func() {}})
		}
		err = interleave(e, runners)
		stop()
		if err != nil {
			return err
		}
	}
	return nil
}

// perCore returns the requests per second of one busy core.
func perCore(s *series) float64 {
	if c := s.median(cpu); c > 0 {
		return 1e6 / c
	}
	return 0
}
