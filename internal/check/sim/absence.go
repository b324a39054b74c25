package sim

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/transporttest"
)

// absences keeps clients away now and then, in the middle of a stream, and makes their servers
// send them more than they keep.
func (w *world) absences(r *rand.Rand) {
	var busy sync.WaitGroup
	defer busy.Wait()
	for end := time.Now().Add(w.lasts); time.Now().Before(end); w.pause(w.grid + upTo(r, 15*time.Second)) {
		c := pick(r, w.clients...)
		c.gate.pass(nil)
		busy.Go(c.streamAway)
		w.pause(w.grid)
		c.leave()
		w.pause(w.grid + upTo(r, time.Second))
		if srv := w.host.server(); srv != nil {
			for conn := range srv.Conns() {
				if w.h.isAway(w.host.peer(conn).name) {
					w.host.flood(conn, 20+r.IntN(30))
				}
			}
		}
		w.pause(w.grid + upTo(r, 3*time.Second))
		c.comeBack()
	}
}

// flood sends more signals to a client that is away than are kept for it, or nearly.
func (h *host) flood(c *server.Conn, n int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for range n {
		h.send(ctx, c, 8_000)
	}
}

// streamAway reads a stream that is not over when the client leaves.
func (c *simClient) streamAway() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, _ = c.stream(reading{name: "count", n: 40, size: 20_000, leave: -1, pause: 100 * time.Millisecond}, ctx) // it is noted
}

// leave drops the socket of a client, which gets no other until it comes back.
func (c *simClient) leave() {
	c.mu.Lock()
	c.absent = true
	socket := c.socket
	c.mu.Unlock()
	if socket, ok := socket.(*transporttest.FaultConn); ok {
		socket.Cut()
	}
}

func (c *simClient) comeBack() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.absent = false
}

// dialled takes note of a socket, and reports whether the client may have it.
func (c *simClient) dialled(conn transport.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.socket = conn
	return !c.absent
}

// isAway reports whether a connection of a server has lost its socket.
func (h *history) isAway(conn string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	events := h.conns[conn]
	for i := len(events) - 1; i >= 0; i-- {
		if events[i] != evHandler {
			return events[i] == evAway
		}
	}
	return false
}

// timeAway is since when a connection has no socket, as one of its ends sees it.
type timeAway struct {
	mu    sync.Mutex
	since time.Time // zero: it has one
}

func (t *timeAway) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since = time.Now()
}

// end notes a violation if the connection was away for longer than it outlives its socket.
// The last handlers may still be running then.
func (t *timeAway) end(w *world, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := time.Since(t.since); !t.since.IsZero() && d > w.absence()+lastHandlers {
		w.h.violated("the connection of %s was away for %v, its window is %v", name, d, w.absence())
	}
	t.since = time.Time{}
}

// lastHandlers is how long handlers may go on after their connection has ended.
const lastHandlers = 5 * time.Second

// padded returns a payload that is a number of bytes longer.
func padded(p protocol.Payload, n int) protocol.Payload {
	p.Data = append(p.Data, strings.Repeat(" ", n)...)
	return p
}
