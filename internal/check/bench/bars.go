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
	ofModern  = "webwire/websocket 3.0"
)

// relations are what users may expect of the default transport.
var relations = []relation{
	{ofDefault, "grpc", 32, "1x64", rps, 10, 0},
	{ofDefault, "nats", 32, "1x64", rps, 4, 0},
	{ofDefault, "centrifuge", 32, "1x64", rps, 5, 0},
	{ofDefault, "raw/tcp-callers", 32, "1x64", rps, 0.55, 0},
	{ofDefault, "net/rpc", 32, "64x1", rps, 1.1, 0},
	{ofDefault, "grpc", 32, "64x1", rps, 3, 0},
	{ofDefault, "centrifuge", 32, "64x1", rps, 2, 0},
	{ofDefault, "raw/tcp", 32, "64x1", rps, 0.72, 0},
	{ofDefault, "raw/tcp", 32, "1x1", p50, 0, 1.45},
	{ofDefault + withDeadline, ofDefault, 32, "1x1", rps, 0.85, 0},
	{ofDefault + withDeadline, ofDefault, 32, "1x64", rps, 0.85, 0},
	{ofDefault + withDeadline, ofDefault, 32, "64x1", rps, 0.85, 0},
	{ofModern, ofDefault, 32, "1x1", rps, 0.95, 0},
	{ofModern, ofDefault, 32, "1x64", rps, 0.95, 0},
	{ofModern, ofDefault, 32, "64x1", rps, 0.95, 0},
	{ofDefault, "grpc", 64 << 10, "1x1", rps, 1.2, 0},
	{ofDefault, "grpc", 64 << 10, "1x64", rps, 1.2, 0},
	{ofDefault, "grpc", 64 << 10, "64x1", rps, 1.2, 0},
}

// streamRelations are those of streamed replies, in items per second.
var streamRelations = []struct {
	of, to string
	least  float64
}{
	{ofModern, "grpc", 2},
	{ofModern, "connect", 2},
	{ofModern, ofModern + beside, 0.5},
}

// fanoutRelations are those of broadcasts, in deliveries per second.
var fanoutRelations = []struct {
	of, to string
	least  float64
}{
	{ofDefault, "centrifuge", 1.7},
	{ofDefault, "raw/gobwas", 0.9},
	{"webwire/stream", "raw/tcp", 0.8},
}

// topicRelations are those of topicWorks, one after the other. What a delivery costs cannot be
// less than a write, which is most of it for all contenders: that is what raw/gobwas does.
var topicRelations = []struct {
	deliveries float64 // at least, times those of centrifuge
	cpu        float64 // at most, times that of raw/gobwas; zero: it has nothing to do
}{
	{1.7, 1.15},
	{1.7, 1.35},
	{1.7, 0},
}

// mostSubscription is what a subscription takes at most, times that of centrifuge.
const mostSubscription = 0.7

const (
	mostFloors    = 1.4 // of the codec
	mostAllocs    = 2   // per request, both ends
	mostLimited   = 3   // with a deadline, without those of context.WithTimeout
	ofRun         = 0.1 // allocations per request that are those of the run itself, at most
	mostStalled   = 1.05
	mostHeld      = 4 << 10 // KiB, of a connection that does not read, both ends
	mostIdle      = 8.7     // KiB of RSS, of the server
	mostIdleMore  = 0.3     // KiB of RSS that 3.0 takes more than 2.0
	allocsPayload = 32
)

// evaluate returns the bars about which something was measured.
func (r *report) evaluate() []bar {
	bars := r.codecBars()
	bars = append(bars, r.allocBars()...)
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
	for _, size := range streamSizes {
		for _, x := range streamRelations {
			of, to := find(r.streams, x.of, size, streams), find(r.streams, x.to, size, streams)
			if of != nil && to != nil {
				name := fmt.Sprintf("%s, streamed items of %s: items/s, times %s", x.of, bytesName(size), x.to)
				bars = append(bars, atLeast(name, ratio(of, to, rps), x.least))
			}
		}
	}
	for _, x := range fanoutRelations {
		of, to := find(r.broadcast, x.of, payloads[0], broadcast), find(r.broadcast, x.to, payloads[0], broadcast)
		if of != nil && to != nil {
			name := fmt.Sprintf("%s, broadcast to %d: deliveries/s, times %s", x.of, listeners, x.to)
			bars = append(bars, atLeast(name, ratio(of, to, rps), x.least))
		}
	}
	bars = append(bars, r.topicBars()...)
	for _, s := range r.stalled {
		bars = append(bars,
			atMost(s.Contender+", one connection does not read: p99 of the others, times that without", s.Ratio, mostStalled),
			atMost(s.Contender+", one connection does not read: KiB it holds", s.Heap, mostHeld))
	}
	return append(bars, r.scalingBars()...)
}

func (r *report) topicBars() (bars []bar) {
	for i, w := range topicWorks() {
		at := func(contender string) *series { return find(r.topics, contender, payloads[0], w.name) }
		of, to, floor, x := at(ofDefault), at("centrifuge"), at(rawTopicsName), topicRelations[i]
		if of != nil && to != nil {
			bars = append(bars, atLeast(fmt.Sprintf("%s, %s: per second, times centrifuge", ofDefault, w.name), ratio(of, to, rps), x.deliveries))
		}
		if of != nil && floor != nil {
			bars = append(bars, atMost(fmt.Sprintf("%s, %s: CPU time, times %s", ofDefault, w.name, rawTopicsName), ratio(of, floor, cpu), x.cpu))
		}
	}
	bytes := make(map[string]float64)
	for _, s := range r.subscriptions {
		bytes[s.Contender] = s.Bytes
	}
	if to := bytes["centrifuge"]; to > 0 {
		bars = append(bars, atMost(ofDefault+": bytes per subscription, times centrifuge", bytes[ofDefault]/to, mostSubscription))
	}
	return bars
}

// allocBars limit the allocations per request, without those of context.WithTimeout
// itself.
func (r *report) allocBars() (bars []bar) {
	perContext := contextAllocs()
	for _, c := range webwires {
		for _, sh := range shapes {
			if s := find(r.series, c.name, allocsPayload, sh.name); s != nil {
				bars = append(bars, atMost(fmt.Sprintf("%s %s, %s: allocations per request", c.name, bytesName(allocsPayload), sh.name), s.median(allocs), mostAllocs+ofRun))
			}
			if s := find(r.series, c.name+withDeadline, allocsPayload, sh.name); s != nil && (c.name == ofDefault || c.name == ofModern) {
				bars = append(bars, atMost(fmt.Sprintf("%s %s, %s: allocations per request, without the %.0f of context.WithTimeout",
					s.contender, bytesName(allocsPayload), sh.name, perContext), s.median(allocs)-perContext, mostLimited+ofRun))
			}
		}
	}
	return bars
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

// scalingBars compare, round by round, what a request costs on many connections and
// on one. WebWire must lose no more than raw frames do in the same run.
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
		of, ok := worst[pair[0]]
		below, okBelow := worst[pair[1]]
		if !ok || !okBelow {
			continue
		}
		name := fmt.Sprintf("%s, 1 to %d connections: least req/s per core, times that of one, beside %s", pair[0], scales[len(scales)-1], pair[1])
		bars = append(bars, atLeast(name, of, round(below)))
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
