package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport/transporttest"
)

// settle ends the faults, and sees to it that everything works again.
func (w *world) settle() {
	w.setDown(transporttest.Refused)
	w.mu.Lock()
	w.calm = true
	w.mu.Unlock()
	w.host.disarm()
	if w.host.server() == nil {
		w.host.start()
	}
	for _, c := range w.faults.Conns() {
		c.Delay(0)
		c.Slow(0)
	}
	var all sync.WaitGroup
	for _, c := range w.clients {
		if !c.closed {
			all.Go(c.settle)
		}
	}
	w.join(&all, "settling", 20*time.Minute)
	w.host.farewell()
	if w.modern() && !w.damaging {
		time.Sleep(w.silence() + 20*time.Second) // the last handlers return, and what is gone is noticed
		w.host.answered()
	}
}

// disarm takes all traps away.
func (h *host) disarm() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.w.talking.Lock()
	defer h.w.talking.Unlock()
	for _, wire := range h.wires {
		wire.trap = trap{}
	}
}

// farewell sends the last signals to all clients, so that what they miss is known.
func (h *host) farewell() {
	srv := h.server()
	if srv == nil {
		return
	}
	for c := range srv.Conns() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		h.signal(ctx, c)
		cancel()
	}
	last := h.cast(srv)
	time.Sleep(time.Second)
	h.w.h.mu.Lock()
	h.w.h.farewell = last
	h.w.h.mu.Unlock()
}

// settle sees to it that a client is connected and agrees with its server.
func (c *simClient) settle() {
	w := c.w
	// The silence has to be noticed, the next dial may hang, then all is well;
	// requests that were lost meanwhile took their time too.
	limit := w.silence() + 3*dialTimeout + 2*w.timeout
	start := time.Now()
	var key string
	for {
		if c.manual {
			c.connect()
		}
		reply, err := c.request("whoami", 0, context.Background())
		if err == nil && (len(reply) >= 4 && reply[:4] == "key:" || w.damaging) {
			key = reply[min(4, len(reply)):]
			break
		}
		if time.Since(start) > limit {
			w.h.violated("%s does not work %v after the faults ended: %v; %s", c.name, limit, err, status(c.client))
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	if w.damaging {
		return
	}
	c.agree(key)
	c.chat()
	if w.modern() {
		c.useModern()
	}
}

// agree compares the session of the client with that of its connection.
func (c *simClient) agree(key string) {
	s, has := c.client.Session()
	if has != (key != "") || s.Key != key {
		c.w.h.violated("%s has the session %.8q, its connection has %.8q", c.name, s.Key, key)
	}
	if key != "" {
		if _, err := c.w.store.Load(context.Background(), key); err != nil {
			c.w.h.violated("%s has a session that the store has not: %v", c.name, err)
		}
	}
	// Sessions that nobody closed are there, and the client has the last one.
	for i, k := range c.keys {
		if c.w.h.wasClosed(k) {
			continue
		}
		if _, err := c.w.store.Load(context.Background(), k); errors.Is(err, session.ErrNotFound) {
			c.w.h.violated("session %d of %s is lost", i, c.name)
		}
		if !has {
			c.w.h.violated("%s has no session, but nobody closed its session %d", c.name, i)
		}
	}
}

// chat sends signals in both directions, which must arrive.
func (c *simClient) chat() {
	w := c.w
	before := c.client.Stats().Connects
	var sent []signal
	for range 3 {
		sent = append(sent, c.signal(context.Background()))
	}
	if _, err := c.request("signals", 0, context.Background()); err != nil {
		if c.client.Stats().Connects == before && !errors.Is(err, client.ErrDisconnected) {
			w.h.violated("%s: the last request failed: %v", c.name, err)
		}
		return // another client's last handlers ended the connection
	}
	for _, s := range sent {
		if !w.h.has(s) {
			w.h.violated("signal %v did not arrive before the reply to a later request", s)
		}
	}
}

// finish closes everything and looks for what is left.
func (w *world) finish() {
	var closing sync.WaitGroup
	for i, c := range w.clients {
		if w.seed%3 == 0 || i%2 == 0 {
			closing.Go(c.close)
		}
	}
	w.join(&closing, "closing clients", time.Minute)
	w.host.mu.Lock()
	w.host.over = true
	w.host.mu.Unlock()
	last := w.host.withdraw()
	w.shutdown(last, time.Minute)
	for _, c := range w.clients {
		c.close()
		if n := c.client.Stats().PendingRequests; n != 0 {
			w.h.violated("%s: %d requests are pending after Close", c.name, n)
		}
		if s := c.client.Status(); s != client.Closed {
			w.h.violated("%s is %v after Close", c.name, s)
		}
		if err := c.client.Signal(context.Background(), "s", signal{}.payload()); !errors.Is(err, client.ErrClosed) {
			w.h.violated("%s: Signal after Close: %v", c.name, err)
		}
	}
	w.faults.Close()
	w.join(&w.host.serving, "Serve", time.Minute)
	for i, srv := range w.host.servers() {
		w.within("Shutdown after the end", 0, func() { _ = srv.Shutdown(context.Background()) })
		if s := srv.Stats(); s.Open != 0 || s.InFlight != 0 || s.Sessions != 0 {
			w.h.violated("server %d of %d is left with %s", i+1, len(w.host.servers()), fmt.Sprintf("%+v", s))
		}
	}
	synctest.Wait() // Close of a client does not wait for its hooks, which write history
}
