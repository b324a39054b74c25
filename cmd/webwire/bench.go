package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
)

const benchHelp = `It makes -c connections and sends -n requests, each with a deadline of -timeout.
As many requests as there are connections, times -p, are under way at once, and
the next one is sent when a reply has arrived: a slow server gets less load.

With -open RATE requests are sent at that rate, whether or not earlier ones were
answered, and a latency counts from the moment at which its request was due: a
server that stalls is charged for all that it makes wait.

Interrupted, it prints what it has measured.
`

// load is the flags of a benchmark.
type load struct {
	conns, total, depth, size int
	name                      string
	rate                      float64
}

// result is the JSON form of a benchmark.
type result struct {
	Requests uint64            `json:"requests"` // with a reply
	Failed   uint64            `json:"failed"`
	Unsent   uint64            `json:"unsent"` // it was interrupted before
	Seconds  float64           `json:"seconds"`
	Rate     float64           `json:"rate"`    // replies in a second
	Latency  map[string]int64  `json:"latency"` // in microseconds
	Errors   map[string]uint64 `json:"errors,omitempty"`
}

func bench(ctx context.Context, p *program, flags *flag.FlagSet, args []string) error {
	conn := connectionFlags(flags)
	var l load
	flags.IntVar(&l.conns, "c", 64, "number of connections")
	flags.IntVar(&l.total, "n", 100_000, "number of requests")
	flags.IntVar(&l.depth, "p", 1, "requests in flight on each connection")
	flags.IntVar(&l.size, "size", 32, "bytes of each request's payload")
	flags.StringVar(&l.name, "name", "echo", "name of the requests")
	flags.Float64Var(&l.rate, "open", 0, "`rate` of an open loop, in requests a second (default: a closed loop)")
	args, err := parse(flags, args, 1, 1)
	switch {
	case err != nil:
		return err
	case l.conns < 1 || l.total < 1 || l.depth < 1 || l.size < 0:
		return usage("-c, -n and -p must be at least 1, and -size at least 0")
	case l.rate < 0 || math.IsNaN(l.rate) || math.IsInf(l.rate, 0):
		return usage("-open must be a positive rate")
	}
	clients, err := connectAll(ctx, conn, args[0], l.conns)
	defer func() {
		for _, c := range clients {
			_ = c.Close()
		}
	}()
	if err != nil {
		return err
	}
	m := &measurement{load: l, clients: clients, timeout: conn.timeout, shards: make([]shard, l.conns)}
	m.payload = protocol.Text(strings.Repeat("x", l.size))
	m.began = time.Now()
	stop := m.progress(p)
	if l.rate > 0 {
		m.open(ctx)
	} else {
		m.closed(ctx)
	}
	took := time.Since(m.began)
	stop()
	return m.report(newPrinter(p.stdout, conn.json), took)
}

// connectAll returns connected clients, also those of them with an error.
func connectAll(ctx context.Context, conn *connection, url string, n int) ([]*client.Client, error) {
	within, cancel := context.WithTimeout(ctx, conn.timeout)
	defer cancel()
	opts := conn.options()
	var clients []*client.Client
	for range n {
		c, err := conn.client(url, opts)
		if err != nil {
			return clients, err
		}
		clients = append(clients, c)
		if err := c.Connect(within); err != nil {
			return clients, connectError{fmt.Errorf("connection %d of %d: %w", len(clients), n, err)}
		}
	}
	return clients, nil
}

// measurement is a benchmark under way.
type measurement struct {
	load
	clients []*client.Client
	payload protocol.Payload
	timeout time.Duration
	began   time.Time
	next    atomic.Int64  // how many requests were taken
	done    atomic.Uint64 // how many have an outcome
	shards  []shard       // one for each client
}

// shard is what was measured on one connection.
type shard struct {
	mu     sync.Mutex
	times  histogram
	failed uint64
	errors map[string]uint64
}

// closed sends a request when the one before it has an outcome.
func (m *measurement) closed(ctx context.Context) {
	var workers sync.WaitGroup
	for i := range m.clients {
		for range m.depth {
			workers.Go(func() {
				for ctx.Err() == nil && m.next.Add(1) <= int64(m.total) {
					m.request(ctx, i, time.Now())
				}
			})
		}
	}
	workers.Wait()
}

// open sends each request when it is due.
func (m *measurement) open(ctx context.Context) {
	var requests sync.WaitGroup
	defer requests.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range m.total {
		due := m.began.Add(time.Duration(float64(i) / m.rate * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
		} else if ctx.Err() != nil {
			return
		}
		requests.Go(func() { m.request(ctx, i%len(m.clients), due) })
	}
}

// request sends a request that was due at a time, and notes its outcome. One that is
// interrupted counts as not sent.
func (m *measurement) request(ctx context.Context, i int, due time.Time) {
	within, cancel := context.WithDeadline(ctx, due.Add(m.timeout))
	defer cancel()
	_, err := m.clients[i].Request(within, m.name, m.payload)
	took := time.Since(due)
	if err != nil && ctx.Err() != nil {
		return
	}
	m.done.Add(1)
	m.note(&m.shards[i], took, err)
	if errors.Is(err, client.ErrDisconnected) {
		_ = m.clients[i].Connect(within) // the next request says if that failed
	}
}

func (m *measurement) note(s *shard, took time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.times.add(took)
		return
	}
	s.failed++
	if s.errors == nil {
		s.errors = map[string]uint64{}
	}
	text := printable(err.Error())
	if errors.Is(err, context.DeadlineExceeded) {
		text = fmt.Sprint("no reply within ", m.timeout)
	}
	if _, known := s.errors[text]; !known && len(s.errors) >= maxErrors {
		text = "other errors"
	}
	s.errors[text]++
}

// maxErrors is how many different errors of a connection are counted.
const maxErrors = 10

// progress shows how far the measurement is, on a terminal, until stop is called.
func (m *measurement) progress(p *program) (stop func()) {
	if !terminal(p.stderr) {
		return func() {}
	}
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		var before uint64
		last := m.began
		for {
			select {
			case <-ended:
				fmt.Fprint(p.stderr, "\r\x1b[K")
				return
			case now := <-tick.C:
				done := m.done.Load()
				rate := float64(done-before) / now.Sub(last).Seconds()
				before, last = done, now
				share := float64(done) / float64(m.total)
				bar := strings.Repeat("#", int(share*30))
				fmt.Fprintf(p.stderr, "\r\x1b[K[%-30s] %3.0f%%  %s of %s, %s/s", bar, share*100,
					thousands(done), thousands(uint64(m.total)), thousands(uint64(rate)))
			}
		}
	}()
	return func() { close(ended); <-stopped }
}

// report prints what was measured. The error says that requests failed, or were not sent.
func (m *measurement) report(out *printer, took time.Duration) error {
	var all histogram
	failures := map[string]uint64{}
	r := result{Seconds: took.Seconds(), Latency: map[string]int64{}, Errors: failures}
	for i := range m.shards {
		s := &m.shards[i]
		all.merge(&s.times)
		r.Failed += s.failed
		for text, n := range s.errors {
			failures[text] += n
		}
	}
	r.Requests = all.count
	r.Unsent = uint64(m.total) - r.Requests - r.Failed
	r.Rate = math.Round(float64(all.count) / took.Seconds())
	if all.count > 0 {
		r.Latency["mean"] = (all.sum / time.Duration(all.count)).Microseconds()
		r.Latency["max"] = all.max.Microseconds()
		for _, q := range quantiles {
			r.Latency[q.name] = all.quantile(q.share).Microseconds()
		}
	}
	if out.json {
		out.object(r)
	} else {
		m.table(out, r, &all)
	}
	switch {
	case r.Failed > 0:
		return fmt.Errorf("%s of %s requests failed", thousands(r.Failed), thousands(uint64(m.total)))
	case r.Unsent > 0:
		return errors.New("interrupted")
	}
	return nil
}

var quantiles = []struct {
	name  string
	share float64
}{{"p50", .5}, {"p90", .9}, {"p99", .99}, {"p99.9", .999}, {"p99.99", .9999}}

// table prints the result for people.
func (m *measurement) table(out *printer, r result, all *histogram) {
	how := fmt.Sprintf("%d in flight on each", m.depth)
	if m.rate > 0 {
		how = fmt.Sprintf("open loop, %s requests/s", thousands(uint64(m.rate)))
	}
	out.line("%s replies in %.2f s: %s/s, over %d connections, %s",
		thousands(r.Requests), r.Seconds, out.paint(bold, thousands(uint64(r.Rate))), m.conns, how)
	if r.Unsent > 0 {
		out.line("%s requests were not sent or have no outcome", thousands(r.Unsent))
	}
	for _, text := range slices.SortedFunc(maps.Keys(r.Errors), func(a, b string) int {
		return cmp.Or(cmp.Compare(r.Errors[b], r.Errors[a]), cmp.Compare(a, b))
	}) {
		out.line("%s failed: %s", out.paint(red, thousands(r.Errors[text])), text)
	}
	if all.count == 0 {
		return
	}
	out.line("\nlatency")
	for _, q := range quantiles {
		out.line("  %-7s %10s", q.name, duration(all.quantile(q.share)))
	}
	out.line("  %-7s %10s\n  %-7s %10s\n", "max", duration(all.max), "mean", duration(all.sum/time.Duration(all.count)))
	bars(out, all)
}

// bars prints how many replies took how long, in steps of a factor of two.
func bars(out *printer, all *histogram) {
	from := time.Microsecond
	for 2*from <= all.quantile(0) {
		from *= 2
	}
	var rows []uint64
	for at := from; at <= all.max; at *= 2 {
		rows = append(rows, all.between(at, 2*at))
	}
	if len(rows) == 0 { // all took less than a microsecond
		return
	}
	rows[0] += all.between(0, from)
	most := slices.Max(rows)
	for _, n := range rows {
		bar := int(math.Ceil(40 * float64(n) / float64(max(most, 1))))
		row := fmt.Sprintf("  < %-9s %10s  %s", duration(2*from), thousands(n), out.paint(green, strings.Repeat("#", bar)))
		out.line("%s", strings.TrimRight(row, " "))
		from *= 2
	}
}

// duration returns d with at least three digits.
func duration(d time.Duration) string {
	value, unit := d.Seconds(), "s"
	switch {
	case d < time.Millisecond:
		value, unit = float64(d)/float64(time.Microsecond), "µs"
	case d < time.Second:
		value, unit = float64(d)/float64(time.Millisecond), "ms"
	}
	digits := 0
	switch {
	case value < 10:
		digits = 2
	case value < 100:
		digits = 1
	}
	return fmt.Sprintf("%.*f %s", digits, value, unit)
}

// thousands returns n with commas.
func thousands(n uint64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
