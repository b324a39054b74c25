package main

import (
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every contender echoes in every shape, and keeps as much in flight as it shall.
func TestContenders(t *testing.T) {
	e := effort{rounds: 1, each: 3 * time.Millisecond}
	var r report
	for _, size := range []int{payloads[0], payloads[2]} {
		for _, sh := range []shape{{"1x1", 1, 1}, {"1x64", 1, 64}, {"64x1", 4, 1}} {
			s, err := requests(e, contenders, size, sh)
			if err != nil {
				t.Fatal(err)
			}
			r.series = append(r.series, s...)
		}
	}
	for _, s := range r.series {
		if s.median(rps) == 0 {
			t.Errorf("%s, %s, %d bytes: nothing was measured", s.contender, s.shape, s.payload)
		}
	}
	for _, name := range []string{ofDefault, ofModern, "grpc", "connect", "nats", "centrifuge"} {
		if find(r.series, name+withDeadline, payloads[0], "1x64") == nil {
			t.Errorf("%s is not measured with a deadline", name)
		}
	}
	if err := signalsPart(&r, e, contenders); err != nil {
		t.Fatal(err)
	}
	if err := streamsPart(&r, e, contenders); err != nil {
		t.Fatal(err)
	}
	for _, s := range r.streams {
		if s.median(rps) == 0 {
			t.Errorf("%s, %d bytes: no item was received", s.contender, s.payload)
		}
	}
	if err := broadcasts(&r, e, contenders, 10); err != nil {
		t.Fatal(err)
	}
	for _, s := range r.broadcast {
		if s.median(rps) == 0 {
			t.Errorf("%s: no broadcast was measured", s.contender)
		}
	}
	if err := publications(&r, e, []topicWork{
		{name: "1 topic, 10 members", topics: 1, members: 10, conns: 10},
		{name: "40 topics, 5 members each", topics: 40, members: 5, conns: 20},
		{name: "no members", topics: 1},
	}); err != nil {
		t.Fatal(err)
	}
	for _, s := range r.topics {
		if s.median(rps) == 0 {
			t.Errorf("%s, %s: nothing was measured", s.contender, s.shape)
		}
	}
	if len(r.subscriptions) != 2 {
		t.Errorf("the memory of subscriptions was measured %d times", len(r.subscriptions))
	}
	r.contenders = contenders
	r.finish(time.Second)
	for _, x := range relations {
		if !slices.ContainsFunc(r.bars, func(b bar) bool { return strings.HasPrefix(b.Name, x.of) && strings.HasSuffix(b.Name, x.to) }) {
			t.Errorf("%s is to be compared with %s, which do not both exist", x.of, x.to)
		}
	}
	for _, x := range streamRelations {
		if !slices.ContainsFunc(r.bars, func(b bar) bool {
			return strings.HasPrefix(b.Name, x.of+", streamed") && strings.HasSuffix(b.Name, x.to)
		}) {
			t.Errorf("streams of %s are to be compared with those of %s, which do not both exist", x.of, x.to)
		}
	}
	for _, x := range fanoutRelations {
		if !slices.ContainsFunc(r.bars, func(b bar) bool {
			return strings.HasPrefix(b.Name, x.of+", broadcast") && strings.HasSuffix(b.Name, x.to)
		}) {
			t.Errorf("broadcasts of %s are to be compared with those of %s, which do not both exist", x.of, x.to)
		}
	}
	if err := r.write(io.Discard, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if text := r.markdown(); strings.Contains(text, "NaN") {
		t.Error("the report has figures that are none")
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for us := range 1000 {
		h.add(time.Duration(us) * time.Microsecond)
	}
	for _, q := range []float64{0.01, 0.5, 0.99} {
		if got, want := h.quantile(q), q*1000; got < want*0.98 || got > want*1.02 {
			t.Errorf("quantile %v: %v µs, want %v", q, got, want)
		}
	}
	for d := time.Duration(1); d < time.Minute; d *= 3 {
		if m := middle(bucketOf(d)); m < d*98/100 || m > d*102/100 {
			t.Errorf("%v is in the bucket around %v", d, m)
		}
	}
}

// A byte too many, or a connection that ends, is an error: waiting for the exact number
// of bytes would have no end.
func TestSinksNotice(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for name, do := range map[string]func(net.Conn){
		"ping":        func(c net.Conn) { c.Write(make([]byte, 4+2)) },
		"end":         func(c net.Conn) { c.Close() },
		"end in time": func(c net.Conn) { c.Write(make([]byte, 3)); c.Close() },
	} {
		s := newSinks()
		if err := s.open(ln.Addr().String(), 1, joinNothing); err != nil {
			t.Fatal(err)
		}
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		s.expect(4)
		do(c)
		if err := s.await(); err == nil {
			t.Errorf("%s: no error", name)
		}
		s.close()
		c.Close()
	}
}

// All figures of nodes are there.
func TestNodes(t *testing.T) {
	if os.Getenv("WEBWIRE_SOAK") == "" {
		t.Skip("it starts three NATS servers: set WEBWIRE_SOAK=1")
	}
	b, err := nodesReport(effort{rounds: 1, each: 3 * time.Millisecond}, 6)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{"| webwire, history | 3 nodes | ", "| centrifuge | 1 member on another node | ", "| webwire, engine/nats | 64x1 | ", "MaxSessionConns 1, 3 nodes | "} {
		_, rest, ok := strings.Cut(string(b), row)
		if !ok || strings.HasPrefix(rest, "0 |") {
			t.Errorf("no figure in %s", row)
		}
	}
}
