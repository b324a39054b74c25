// Bench compares WebWire with raw WebSocket libraries, plain TCP and libraries of
// requests and replies, over the loopback interface, client and server in one
// process. All contenders are measured in one run, in turn, round by round:
// absolute figures move from machine to machine and from minute to minute, ratios
// within a run hold.
//
//	make bench OUT=dir         # everything, about ten minutes; ONLY=regexp chooses contenders
//	make bench-quick OUT=dir   # 32 bytes only, less than a minute
//	make bench-idle OUT=dir    # what an idle connection costs
//	make bench-nodes OUT=dir   # several nodes on NATS
//
// A table goes to standard output, bench.md and bench.json into the directory.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"slices"
	"time"
)

// options are the flags.
type options struct {
	out    string
	quick  bool
	strict bool
	only   string
	parts  string
	shape  string
	size   int

	profile string
	effort  effort
}

func main() {
	if done := idleChild(); done {
		return
	}
	var o options
	var idle, nodes bool
	flag.StringVar(&o.out, "out", "", "write bench.md and bench.json, or idle.md and idle.json, into this `directory`")
	flag.BoolVar(&o.quick, "quick", false, "requests of 32 bytes only")
	flag.BoolVar(&o.strict, "strict", false, "fail if a bar is missed")
	flag.StringVar(&o.only, "only", "", "only contenders whose name matches this `expression`")
	flag.StringVar(&o.parts, "parts", "", "only parts whose name matches this `expression`: "+partNames)
	flag.StringVar(&o.shape, "shape", "", "only requests in shapes that match this `expression`")
	flag.IntVar(&o.size, "size", 0, "only requests of so many `bytes`")
	flag.IntVar(&o.effort.rounds, "rounds", 0, "measure everything so many `times`; zero: 7, quick 3")
	flag.DurationVar(&o.effort.each, "each", 0, "measure for so long each `time`; zero: 250ms, quick 200ms")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile into this `file`")
	flag.BoolVar(&idle, "idle", false, "measure idle connections instead")
	flag.BoolVar(&nodes, "nodes", false, "measure several nodes on NATS instead")
	flag.Parse()
	var err error
	switch {
	case idle:
		err = runIdle(o)
	case nodes:
		err = runNodes(o)
	default:
		err = runBench(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

var errMissed = errors.New("a bar is missed")

// payloads are the sizes of what is echoed, in bytes.
var payloads = []int{32, 1 << 10, 64 << 10}

const partNames = "requests, signals, streams, broadcast, topics, stalled, scaling, codec"

func runBench(o options) error {
	sizes := payloads
	rounds, each := 7, 250*time.Millisecond
	if o.quick {
		sizes, rounds, each = sizes[:1], 3, 200*time.Millisecond
	}
	if o.effort.rounds == 0 {
		o.effort.rounds = rounds
	}
	if o.effort.each == 0 {
		o.effort.each = each
	}
	all, err := chosen(o.only)
	if err != nil {
		return err
	}
	parts, err := regexp.Compile(o.parts)
	if err != nil {
		return err
	}
	wanted := func(part string) bool { return parts.MatchString(part) && (!o.quick || part == "requests") }

	stop, err := startProfile(o.profile)
	if err != nil {
		return err
	}
	defer stop()

	began := time.Now()
	r := report{Machine: machine(), Command: command(o), contenders: all}
	if o.size != 0 {
		sizes = []int{o.size}
	}
	inShape, err := regexp.Compile("^(" + o.shape + ")$")
	if err != nil {
		return err
	}
	if wanted("requests") {
		for _, size := range sizes {
			for _, sh := range shapes {
				if o.shape != "" && !inShape.MatchString(sh.name) {
					continue
				}
				progress("requests of %d bytes, %s", size, sh.name)
				s, err := requests(o.effort, all, size, sh)
				if err != nil {
					return err
				}
				r.series = append(r.series, s...)
			}
		}
	}
	for _, part := range []struct {
		name string
		run  func(*report, effort, []contender) error
	}{
		{"signals", signalsPart},
		{"streams", streamsPart},
		{"broadcast", broadcastPart},
		{"topics", topicsPart},
		{"stalled", stalledPart},
		{"scaling", scalingPart},
		{"codec", codecPart},
	} {
		if !wanted(part.name) {
			continue
		}
		progress("%s", part.name)
		if err := part.run(&r, o.effort, all); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	r.finish(time.Since(began))
	if err := r.write(os.Stdout, o.out); err != nil {
		return err
	}
	if o.strict && r.missed() {
		return errMissed
	}
	return nil
}

func signalsPart(r *report, e effort, all []contender) error {
	s, err := oneWaySignals(e, all, payloads[0])
	r.series = append(r.series, s...)
	return err
}

// chosen returns the contenders whose name matches.
func chosen(only string) ([]contender, error) {
	re, err := regexp.Compile(only)
	if err != nil {
		return nil, err
	}
	all := slices.DeleteFunc(slices.Clone(contenders), func(c contender) bool { return !re.MatchString(c.name) })
	if len(all) == 0 {
		return nil, errNone
	}
	return all, nil
}

// startProfile writes a CPU profile until stop is called, unless file is empty.
func startProfile(file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}

// create creates a file of the report.
func create(dir, name string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	return os.Create(filepath.Join(dir, name))
}

// command returns what was run, in terms of make.
func command(o options) string {
	if o.quick {
		return "make bench-quick"
	}
	return "make bench"
}
