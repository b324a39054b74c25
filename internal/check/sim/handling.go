package sim

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// handling is the execution of a request by a handler.
type handling struct {
	h *history
	r *request // nil if nobody made it

	waits    bool // the handler returns when its context ends
	began    time.Time
	deadline time.Time // of its context; zero: none
	ended    time.Time
	cause    error // of the end of its context; nil if that had not ended
}

// items are those of a streamed reply.
type items struct {
	sent     int   // those that the handler gave to send
	all      bool  // the handler sent all that it wanted to
	received []int // their numbers
	left     bool  // the requester left early
}

// executed notes that a handler was called.
func (h *history) executed(id int, payload string) *handling {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := &handling{h: h, began: time.Now()}
	if id < 0 || id >= len(h.requests) {
		h.unknown = append(h.unknown, payload)
		return e
	}
	e.r = h.requests[id]
	e.r.executions = append(e.r.executions, e)
	return e
}

// start notes what the handler got.
func (e *handling) start(ctx context.Context, waits bool) {
	e.h.mu.Lock()
	defer e.h.mu.Unlock()
	e.waits = waits
	e.deadline, _ = ctx.Deadline()
}

// end notes that the handler returns.
func (e *handling) end(ctx context.Context) {
	e.h.mu.Lock()
	defer e.h.mu.Unlock()
	e.ended = time.Now()
	if ctx.Err() != nil {
		e.cause = context.Cause(ctx)
	}
}

// running reports whether a handler of the request runs.
func (h *history) running(r *request) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range r.executions {
		if e.ended.IsZero() {
			return true
		}
	}
	return false
}

// onStream answers with as many items as the payload says, of the size that it says; a
// tail has no end.
func (h *host) onStream(ctx context.Context, r *server.Request, send func(protocol.Payload) error) error {
	h.w.h.conn(h.peer(r.Conn).name, evHandler)
	id, n, size := -1, 0, 0
	if _, err := fmt.Sscanf(string(r.Payload.Data), "%d %d %d", &id, &n, &size); err != nil {
		id = -1
	}
	e := h.w.h.executed(id, string(r.Payload.Data))
	defer e.end(ctx)
	e.start(ctx, true)                  // send fails when its context ends
	if e.r == nil || e.r.items == nil { // the request was damaged
		return &protocol.Error{Code: "DAMAGED"}
	}
	for i := 0; i < n || r.Name == "tail"; i++ {
		e.h.mu.Lock()
		e.r.items.sent++
		e.h.mu.Unlock()
		item := strconv.AppendInt(nil, int64(i), 10)
		item = append(item, strings.Repeat(" ", max(0, min(size, 1<<20)))...)
		if err := send(protocol.Bytes(item)); err != nil {
			return err
		}
	}
	e.h.mu.Lock()
	e.r.items.all = true
	e.h.mu.Unlock()
	if n%5 == 4 {
		return &protocol.Error{Code: "FAILED"}
	}
	return nil
}
