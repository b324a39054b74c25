package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
)

// actModern does one thing that 3.0 is needed for.
func (c *simClient) actModern(r *rand.Rand, busy *sync.WaitGroup) {
	switch r.IntN(8) {
	case 0, 1:
		for range 1 + r.IntN(4) {
			ctx, cancel := context.WithCancel(context.Background())
			patience := pick(r, 0, upTo(r, 50*time.Millisecond), upTo(r, 2*time.Second))
			busy.Go(func() {
				time.AfterFunc(patience, cancel)
				c.request("wait", 0, ctx)
			})
		}
	case 2:
		ctx := c.some(r)
		busy.Go(func() { c.request("wait", 0, ctx) })
	case 3:
		ctx := c.some(r)
		busy.Go(func() { c.request("ask", 0, ctx) })
	default:
		s := reading{name: "count", n: r.IntN(40), size: pick(r, 1, 100, 100, 100, 3_000, 20_000), leave: -1}
		if r.IntN(3) == 0 {
			s.name = "tail"
		}
		if s.name == "tail" || r.IntN(3) == 0 {
			s.leave = r.IntN(40)
		}
		if r.IntN(3) == 0 {
			s.pause = upTo(r, 200*time.Millisecond)
		}
		ctx := c.some(r)
		busy.Go(func() { c.stream(s, ctx) })
	}
}

// reading is how a stream is read.
type reading struct {
	name    string
	n, size int           // of the items
	leave   int           // after the item of this number, or a later one; negative: never
	pause   time.Duration // after each item
}

// stream reads a streamed reply and notes its outcome.
func (c *simClient) stream(how reading, ctx context.Context) (*request, error) {
	if c.w.damaging || c.w.mutate != nil { // a credit, or the answer, may be lost
		bounded, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		ctx = bounded
	}
	q := c.w.h.request(c.name + " " + how.name)
	q.items = new(items)
	q.due, _ = ctx.Deadline()
	payload := fmt.Sprintf("%d %d %d", q.id, how.n, how.size)
	var last error
	for p, err := range c.client.Stream(ctx, how.name, protocol.Bytes([]byte(payload))) {
		if last != nil {
			c.w.h.violated("request %d: something comes after the error", q.id)
		}
		if last = err; err != nil {
			continue
		}
		i, err := strconv.Atoi(strings.TrimRight(string(p.Data), " "))
		if err != nil {
			i = -1
		}
		c.w.h.mu.Lock()
		q.items.received = append(q.items.received, i)
		c.w.h.mu.Unlock()
		if how.leave >= 0 && i >= how.leave {
			q.items.left = true
			break
		}
		time.Sleep(how.pause)
	}
	c.w.h.outcome(q, "", last)
	return q, last
}

// stopTime is how long a cancel may take on a network without faults: what the inbox is
// full of ends first.
const stopTime = 10 * time.Second

// stops sees to it that no handler of a request runs any more.
func (c *simClient) stops(q *request) {
	for end := time.Now().Add(stopTime); c.w.h.running(q); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			c.w.h.violated("request %d (%s) runs %v after its requester left", q.id, q.what, stopTime)
			return
		}
	}
}

// useModern uses what 3.0 offers, on a connection that works.
func (c *simClient) useModern() {
	w := c.w
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()

	soon, stop := context.WithCancel(ctx)
	time.AfterFunc(10*time.Millisecond, stop)
	q := w.h.request(c.name + " wait")
	q.due = due(soon, 0)
	_, err := c.client.Request(soon, "wait", protocol.Bytes(fmt.Appendf(nil, "%d 0", q.id)))
	w.h.outcome(q, "", err)
	c.stops(q)

	q, _ = c.stream(reading{name: "tail", size: 1000, leave: 3}, context.Background())
	c.stops(q)
	if q, err := c.stream(reading{name: "count", n: 20, size: 4_000, leave: -1}, ctx); err != nil && !errors.Is(err, client.ErrDisconnected) {
		w.h.violated("request %d (%s) fails without a fault: %v", q.id, q.what, err)
	}

	reply, err := c.request("meet", 0, context.Background())
	if err != nil {
		return // as in chat
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(reply, "re: "), " ")
	n, _ := strconv.Atoi(id)
	w.host.mu.Lock()
	conn := w.host.met[n]
	w.host.mu.Unlock()
	if _, err := w.host.ask(ctx, conn, "back", 0); err != nil && conn.Context().Err() == nil {
		w.h.violated("%s is asked without a fault: %v", c.name, err)
	}
}
