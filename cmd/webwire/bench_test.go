package main

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/stream"
)

// Every request gets its reply, in both loops, and the report adds up.
func TestBench(t *testing.T) {
	url, _ := startServer(t, "-quiet")
	for _, flags := range [][]string{
		{"-c", "3", "-n", "1000", "-p", "4", "-size", "0"},
		{"-c", "2", "-n", "500", "-open", "5000"},
	} {
		args := append([]string{"bench", url}, flags...)
		var r result
		if err := json.Unmarshal([]byte(must(t, append(args, "-json")...)), &r); err != nil {
			t.Fatal(err)
		}
		if want := map[string]uint64{"1000": 1000, "500": 500}[flags[3]]; r.Requests != want || r.Failed != 0 || r.Unsent != 0 {
			t.Errorf("%v: %+v", flags, r)
		}
		if l := r.Latency; l["p50"] > l["p99"] || l["p99"] > l["max"] || l["max"] == 0 {
			t.Errorf("%v: %v", flags, l)
		}
		if flags[5] == "5000" && (r.Seconds < .09 || r.Seconds > 20) {
			t.Errorf("500 requests at 5000/s took %v s", r.Seconds)
		}
		text := must(t, args...)
		if !regexp.MustCompile(`(?s)replies in .*p50 .*p99\.99 .*max .*mean .*< .*#`).MatchString(text) {
			t.Error(text)
		}
	}
}

// stallingServer handles requests one at a time, and the first one takes a while.
func stallingServer(t *testing.T, stall time.Duration) (url string) {
	t.Helper()
	var handled atomic.Int64
	closing := make(chan struct{})
	srv := server.New(server.Options{Concurrency: 1, Hooks: server.Hooks{
		OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
			if handled.Add(1) == 1 {
				select {
				case <-time.After(stall):
				case <-closing: // and not when the client gives up
				}
			}
			return r.Payload, nil
		},
	}})
	l, err := stream.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(l) }()
	t.Cleanup(func() { close(closing); _ = srv.Close(); <-served })
	return "tcp://" + l.Addr().String()
}

// While a server stalls, the requests that an open loop has due wait with the first one; a
// closed loop sees one slow request.
func TestBenchCoordinatedOmission(t *testing.T) {
	t.Parallel() // it waits most of the time
	const stall = 4 * time.Second
	p50 := func(flags ...string) time.Duration {
		args := append([]string{"bench", "-json", "-c", "1", "-n", "100", stallingServer(t, stall)}, flags...)
		var r result
		if err := json.Unmarshal([]byte(must(t, args...)), &r); err != nil {
			t.Fatal(err)
		}
		return time.Duration(r.Latency["p50"]) * time.Microsecond
	}
	if open := p50("-open", "100"); open < stall/4 {
		t.Errorf("open loop: half of all requests took less than %v", open)
	}
	if closed := p50(); closed > stall/4 {
		t.Errorf("closed loop: half of all requests took more than %v", closed)
	}
}

// Requests that fail are counted by their errors; the exit code is 1.
func TestBenchFails(t *testing.T) {
	t.Parallel() // it waits most of the time
	r := webwire(t, "", "bench", "-c", "1", "-n", "2", "-p", "2", "-timeout", patience, stallingServer(t, time.Hour))
	if r.code != exitFailed || !strings.Contains(r.stdout, "2 failed: no reply within "+patience) || r.stderr != "webwire: 2 of 2 requests failed\n" {
		t.Errorf("%+v", r)
	}
	url, _ := startServer(t, "-quiet")
	r = webwire(t, "", "bench", "-c", "2", "-n", "10", "-name", "fail", url)
	if r.code != exitFailed || !strings.Contains(r.stdout, "10 failed: xxxx") {
		t.Errorf("%+v", r)
	}
}

// Interrupted, a benchmark prints what it has measured.
func TestBenchInterrupted(t *testing.T) {
	url, b := startServer(t)
	cmd, out := process(t, "bench", "-c", "2", "-n", "1000000000", "-open", "200", url)
	b.out.await(t, `(?s)(request "echo".*){20}`)
	if code := interrupted(t, cmd); code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
	if text, _ := out.read(); !strings.Contains(text, "were not sent or have no outcome") || !strings.Contains(text, "webwire: interrupted") || !strings.Contains(text, "p99.9") {
		t.Error(text)
	}
}

// Quantiles are those of a sorted list, up to the width of a bucket.
func TestHistogram(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var a, b histogram
	var all []time.Duration
	for i := range 10_000 {
		d := time.Duration(math.Exp(random.Float64() * 24)) // 1 ns to 26 s
		all = append(all, d)
		[]*histogram{&a, &b}[i%2].add(d)
	}
	a.merge(&b)
	slices.Sort(all)
	for _, q := range []float64{0, .01, .5, .9, .99, .999, 1} {
		want := all[min(int(q*float64(len(all))), len(all)-1)]
		if got := a.quantile(q); math.Abs(float64(got-want)) > .016*float64(want)+1 {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
	if n := a.between(0, time.Hour); n != 10_000 || a.count != n {
		t.Errorf("%d of %d in between", n, a.count)
	}
	if a.max != all[len(all)-1] || bucketOf(time.Hour) != histogramSize-1 {
		t.Errorf("max %v", a.max)
	}
}

func TestNumbers(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.00 µs", 999: "1.00 µs", 12345: "12.3 µs", 999_900: "1000 µs", 1_500_000: "1.50 ms", 20 * time.Second: "20.0 s",
	} {
		if got := duration(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
