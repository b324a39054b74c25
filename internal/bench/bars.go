package main

import "fmt"

// bar is something that must hold.
type bar struct {
	Name     string `json:"bar"`
	Wanted   string `json:"wanted"`
	Measured string `json:"measured"`
	OK       bool   `json:"ok"`
}

func (b bar) verdict() string {
	if b.OK {
		return "ok"
	}
	return "**miss**"
}

// A relation says how many times as much one contender must do as another.
type relation struct {
	of, to  string
	payload int
	shape   string
	by      metric
	least   float64 // zero: none
	most    float64 // zero: none
}

const (
	ofDefault = "webwire/websocket"
	ofCoder   = "webwire/coder"
	ofGobwas  = "webwire/gobwas"
)

// relations are what users may expect. The default transport inherits the cost of
// the library below it; the others show what the rest of the stack costs.
var relations = []relation{
	{ofDefault, "raw/nhooyr", 32, "1x64", rps, 1.3, 0},
	{ofDefault, "grpc", 32, "1x64", rps, 2.5, 0},
	{ofDefault, "nats", 32, "1x64", rps, 1.0, 0},
	{ofDefault, "raw/nhooyr", 32, "64x1", rps, 0.95, 0},
	{ofDefault, "grpc", 32, "64x1", rps, 2.2, 0},
	{ofDefault, "raw/nhooyr", 32, "1x1", p50, 0, 1.15},
	{ofDefault, "grpc", 32, "1x1", p50, 0, 0.6},
	{ofDefault, "grpc", 64 << 10, "1x1", rps, 1.2, 0},
	{ofDefault, "grpc", 64 << 10, "1x64", rps, 1.2, 0},
	{ofDefault, "grpc", 64 << 10, "64x1", rps, 1.2, 0},
	{ofCoder, "raw/coder", 32, "1x64", rps, 2, 0},
	{ofCoder, "grpc", 32, "1x64", rps, 4, 0},
	{ofGobwas, "grpc", 32, "1x64", rps, 8, 0},
	{ofGobwas, "nats", 32, "1x64", rps, 4, 0},
	{ofGobwas, "raw/tcp", 32, "1x64", rps, 0.35, 0},
	{ofGobwas, "raw/tcp-callers", 32, "1x64", rps, 0.35, 0},
	{ofGobwas, "raw/tcp", 32, "64x1", rps, 0.8, 0},
	{ofGobwas, "raw/tcp", 32, "1x1", p50, 0, 1.4},
}

const (
	mostFloors    = 1.4 // of the codec
	mostAllocs    = 3   // per request, both ends
	leastFanout   = 0.8 // of a loop of writes
	mostStalled   = 1.05
	mostHeld      = 4 << 10 // KiB, of a connection that does not read, both ends
	scalingSlack  = 0.2
	allocsPayload = 32
)

// evaluate returns the bars about which something was measured.
func (r *report) evaluate() []bar {
	bars := r.codecBars()
	for _, c := range webwires {
		for _, sh := range shapes {
			if s := find(r.series, c.name, allocsPayload, sh.name); s != nil {
				bars = append(bars, atMost(fmt.Sprintf("%s %s, %s: allocations per request", c.name, bytesName(allocsPayload), sh.name), s.median(allocs), mostAllocs))
			}
		}
	}
	for _, x := range relations {
		of, to := find(r.series, x.of, x.payload, x.shape), find(r.series, x.to, x.payload, x.shape)
		if of == nil || to == nil {
			continue
		}
		what := "req/s"
		if x.most > 0 {
			what = "p50"
		}
		name := fmt.Sprintf("%s %s, %s: %s, times %s", x.of, bytesName(x.payload), x.shape, what, x.to)
		if x.most > 0 {
			bars = append(bars, atMost(name, ratio(of, to, x.by), x.most))
		} else {
			bars = append(bars, atLeast(name, ratio(of, to, x.by), x.least))
		}
	}
	for i := 0; i+1 < len(r.broadcast); i += 2 {
		name := fmt.Sprintf("%s, broadcast to %d: times a loop of writes with %s", r.broadcast[i].contender, listeners, r.broadcast[i+1].contender)
		bars = append(bars, atLeast(name, ratio(r.broadcast[i], r.broadcast[i+1], rps), leastFanout))
	}
	for _, s := range r.stalled {
		bars = append(bars,
			atMost(s.Contender+", one connection does not read: p99 of the others, times that without", s.Ratio, mostStalled),
			atMost(s.Contender+", one connection does not read: KiB it holds", s.Heap, mostHeld))
	}
	return append(bars, r.scalingBars()...)
}

func (r *report) codecBars() (bars []bar) {
	for _, c := range r.codec {
		b := atMost("codec "+c.Benchmark+", named request of 32 B: times the floor", c.Floors, mostFloors)
		if c.Allocs > 0 {
			b.OK = false
			b.Measured += fmt.Sprintf(", %.0f allocations", c.Allocs)
		}
		bars = append(bars, b)
	}
	return bars
}

// scalingBars compare, round by round, what a request costs on many connections
// and on one. What becomes of the library below is said with it.
func (r *report) scalingBars() (bars []bar) {
	worst := map[string]float64{}
	for i := 0; i+len(scales) <= len(r.scaling); i += len(scales) {
		one := r.scaling[i]
		worst[one.contender] = 1
		for _, s := range r.scaling[i+1 : i+len(scales)] {
			if by := ratio(s, one, cpu); by > 0 {
				worst[one.contender] = min(worst[one.contender], 1/by)
			}
		}
	}
	for _, pair := range scaled {
		w, ok := worst[pair[0]]
		if !ok {
			continue
		}
		name := fmt.Sprintf("%s, 1 to %d connections: least req/s per core, times that of one", pair[0], scales[len(scales)-1])
		b := atLeast(name, w, 1-scalingSlack)
		if below, ok := worst[pair[1]]; ok {
			b.Measured += fmt.Sprintf(" (%s %.2f)", pair[1], below)
		}
		bars = append(bars, b)
	}
	return bars
}

func atLeast(name string, v, limit float64) bar {
	return bar{name, fmt.Sprintf("≥ %g", limit), measured(v), round(v) >= limit}
}

func atMost(name string, v, limit float64) bar {
	return bar{name, fmt.Sprintf("≤ %g", limit), measured(v), round(v) <= limit}
}

func measured(v float64) string { return fmt.Sprintf("%.2f", v) }

// round returns what measured shows.
func round(v float64) float64 { return float64(int64(v*100+0.5)) / 100 }
