package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// simClient is a client and who uses it.
type simClient struct {
	w      *world
	name   string
	client *client.Client
	rand   *rand.Rand
	manual bool // autoconnect is disabled
	closed bool
	gate   gate
	away   timeAway

	turn chan struct{} // held by who sends a signal
	seq  int

	mu       sync.Mutex
	dials    *rand.Rand
	keys     []string       // of sessions that were created for the client
	restored []string       // of those that it wanted to restore
	hooked   bool           // OnConnected was called last
	absent   bool           // it cannot reach the host
	socket   transport.Conn // the last one
}

func newClient(w *world, i int, r *rand.Rand) *simClient {
	c := &simClient{
		w:      w,
		name:   fmt.Sprintf("client%d", i),
		rand:   rand.New(rand.NewPCG(r.Uint64(), 1)),
		dials:  rand.New(rand.NewPCG(r.Uint64(), 2)),
		manual: r.IntN(8) == 0,
		turn:   make(chan struct{}, 1),
	}
	c.client = client.New(c, client.Options{
		Hooks: client.Hooks{
			OnConnected: func(context.Context) {
				c.hook(true)
				w.h.fresh(c.name)
			},
			OnDisconnected: func(_ context.Context, err error) {
				c.hook(false)
				c.away.end(w, c.name)
				w.wrong(err)
			},
			OnAway: func(context.Context, error) { c.away.begin() },
			OnBack: func(context.Context) { c.away.end(w, c.name) },
			OnGap: func(_ context.Context, g client.Gap) {
				if g.Missed > 0 {
					w.h.gap(c.name, g.Missed)
				}
			},
			OnServerSignal: func(_ context.Context, s *client.Signal) {
				if s.Name == "s" {
					w.h.received(c.name, parseSignal(s.Payload))
				}
			},
		},
		Handler:            (*asked)(c),
		Timeout:            w.timeout,
		DialTimeout:        dialTimeout,
		DisableAutoconnect: c.manual,
		// The pauses between attempts are those of Dial, which the seed decides.
		MinBackoff:  1,
		MaxBackoff:  1,
		Versions:    []protocol.Version{w.version},
		ReadTimeout: w.readTimeout,
		OutboxSize:  w.boxSize,
		InboxSize:   w.boxSize,
		Logger:      quiet,
	})
	return c
}

// wrong notes why a connection ended if that was a mistake of one of its ends.
func (w *world) wrong(err error) {
	var closed *transport.CloseError
	if !w.damaging && (errors.Is(err, client.ErrProtocolViolation) || errors.As(err, &closed) && closed.Status == transport.StatusProtocolError) {
		w.h.violated("a connection ended with a violation of the protocol: %v", err)
	}
}

// hook takes note that OnConnected or OnDisconnected was called.
func (c *simClient) hook(connected bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hooked == connected {
		c.w.h.violated("%s: OnConnected and OnDisconnected do not alternate", c.name)
	}
	c.hooked = connected
}

// Dial connects to the host, or fails as a host that is down does.
func (c *simClient) Dial(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
	c.mu.Lock()
	takes := 1 + upTo(c.dials, 30*time.Millisecond)
	if c.dials.IntN(4) == 0 {
		takes += upTo(c.dials, time.Second)
	}
	c.mu.Unlock()
	c.gate.pass(ctx.Done())
	if !sleep(ctx, takes) {
		return nil, ctx.Err()
	}
	w := c.w
	ln := w.host.listener()
	var err error = errDown
	if ln != nil {
		var conn transport.Conn
		conn, err = w.faults.Dialer(ln).Dial(ctx, opts)
		if err == nil {
			if c.dialled(conn) {
				return newGated(conn, &c.gate), nil
			}
			_ = conn.Abort()
			err = errDown
		}
	} else {
		w.mu.Lock()
		down := w.down
		w.mu.Unlock()
		err = down(ctx)
	}
	sleep(ctx, 300*time.Millisecond+takes)
	return nil, err
}

// sleep reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// act uses the client until the faults end.
func (c *simClient) act() {
	var busy sync.WaitGroup
	defer busy.Wait()
	for end := time.Now().Add(c.w.lasts); time.Now().Before(end); c.w.pause(c.w.grid + upTo(c.rand, 2*time.Second)) {
		c.gate.pass(nil) // nothing is asked for while it stands still
		r := c.rand
		if c.manual && r.IntN(2) == 0 {
			c.connect()
		}
		if w := c.w; w.modern() && r.IntN(3) == 0 {
			c.actModern(r, &busy)
			continue
		}
		switch r.IntN(24) {
		case 0, 1:
			c.login()
		case 2:
			c.request("logout", 0, c.some(r))
		case 3:
			c.closeSession()
		case 4:
			c.restore()
		case 5, 6, 7:
			name, ms := pick(r, "echo", "echo", "fail", "panic", "signals"), r.IntN(3000)
			busy.Go(func() { c.request(name, ms, context.Background()) })
		case 8:
			c.request("leave", 0, context.Background())
		case 9:
			c.connect()
		case 10:
			if r.IntN(6) == 0 && len(c.w.clients) > 1 {
				if r.IntN(2) == 0 {
					c.shutdown(upTo(r, 5*time.Second))
				}
				c.close()
				return
			}
		case 11:
			if r.IntN(4) == 0 {
				busy.Go(func() { c.request("stop", 0, context.Background()) })
			}
		case 12, 13, 14, 15:
			for range 1 + r.IntN(5) {
				c.signal(context.Background())
			}
		default:
			for range 1 + r.IntN(6) {
				ms, ctx := r.IntN(50), c.some(r)
				busy.Go(func() { c.request("echo", ms, ctx) })
			}
		}
	}
}

// longestContext is the longest deadline of some.
const longestContext = 3 * time.Second

// some returns a context that ends sometime, or never.
func (c *simClient) some(r *rand.Rand) context.Context {
	if r.IntN(3) > 0 {
		return context.Background()
	}
	ctx, cancel := context.WithCancel(context.Background())
	if r.IntN(2) == 0 {
		ctx, cancel = context.WithTimeout(context.Background(), upTo(r, longestContext))
	}
	time.AfterFunc(upTo(r, 4*time.Second), cancel)
	return ctx
}

// request sends a request and notes its outcome.
func (c *simClient) request(name string, ms int, ctx context.Context) (string, error) {
	q := c.w.h.request(c.name + " " + name)
	q.due = due(ctx, c.w.timeout)
	size := ms
	if q.id%40 == 0 {
		size *= 100
	}
	payload := fmt.Sprintf("%d %d %s", q.id, ms, strings.Repeat("x", size))
	switch name {
	case "echo", "signals", "leave", "stop", "ask", "meet":
		q.want = "re: " + payload
	}
	var reply protocol.Payload
	var err error
	gaveUp := make(chan time.Time, 1)
	stop := context.AfterFunc(ctx, func() { gaveUp <- time.Now() })
	still := c.gate.still()
	c.within("a request", max(0, time.Until(q.due))+time.Second, func() {
		reply, err = c.client.Request(ctx, name, protocol.Bytes([]byte(payload)))
	})
	if !stop() {
		if d := time.Since(<-gaveUp) - (c.gate.still() - still); d > time.Second {
			c.w.h.violated("request %d (%s) returned %v after its context ended: %v", q.id, q.what, d, err)
		}
	}
	var late *client.TimeoutError
	if errors.As(err, &late) && (late.After > max(c.w.timeout, longestContext, askTimeout) || late.After <= 0) {
		c.w.h.violated("a TimeoutError says %v", late.After)
	}
	c.w.h.outcome(q, string(reply.Data), err)
	return string(reply.Data), err
}

func (c *simClient) signal(ctx context.Context) signal {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	c.seq++
	s := signal{c.name, c.seq}
	c.w.h.sending(s)
	if err := c.client.Signal(ctx, "s", s.payload()); err != nil {
		c.w.h.refused(s)
	}
	return s
}

func (c *simClient) login() {
	if key, err := c.request("login", 0, c.some(c.rand)); err == nil {
		c.mu.Lock()
		c.keys = append(c.keys, key)
		c.mu.Unlock()
		c.w.mu.Lock()
		c.w.keys = append(c.w.keys, key)
		c.w.mu.Unlock()
	}
}

func (c *simClient) restore() {
	c.w.mu.Lock()
	keys := slices.Clone(c.w.keys)
	c.w.mu.Unlock()
	if len(keys) == 0 {
		return
	}
	key := pick(c.rand, keys...)
	c.mu.Lock()
	c.restored = append(c.restored, key)
	c.mu.Unlock()
	_ = c.client.RestoreSession(c.some(c.rand), key) // may fail for many reasons
}

func (c *simClient) closeSession() {
	if s, ok := c.client.Session(); ok {
		c.w.h.closing(s.Key)
	}
	c.mu.Lock()
	for _, key := range slices.Concat(c.keys, c.restored) { // the session may be another by now
		c.w.h.closing(key)
	}
	c.mu.Unlock()
	_ = c.client.CloseSession(c.some(c.rand)) // may fail for many reasons
}

func (c *simClient) connect() {
	c.within("Connect", c.w.timeout+time.Second, func() {
		_ = c.client.Connect(context.Background()) // may fail for many reasons
	})
}

// shutdown lets the requests in flight end, for limit at most.
func (c *simClient) shutdown(limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c.within("Shutdown of a client", limit+5*time.Second, func() {
		if err := c.client.Shutdown(ctx); err != nil && ctx.Err() == nil {
			c.w.h.violated("Shutdown of a client: %v", err)
		}
	})
	if s := c.client.Status(); s != client.Closed {
		c.w.h.violated("after Shutdown a client is %v", s)
	}
}

func (c *simClient) close() {
	c.closed = true
	c.within("Close of a client", 5*time.Second, func() {
		if err := c.client.Close(); err != nil {
			c.w.h.violated("Close of a client: %v", err)
		}
	})
}
