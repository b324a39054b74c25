package sim

import (
	"fmt"
	"sync"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// wire watches the messages of a connection of 3.0 at the server's end.
type wire struct {
	transport.Conn
	h *history

	mu       sync.Mutex
	requests map[protocol.ID]*exchange // of the client
	asks     map[protocol.ID]*exchange // of the server
	over     bool                      // the connection has ended
}

// exchange is a request on the wire.
type exchange struct {
	answered    bool
	stream      bool
	sent, limit uint64 // of the items
}

func newWire(conn transport.Conn, h *history) *wire {
	return &wire{Conn: conn, h: h, requests: make(map[protocol.ID]*exchange), asks: make(map[protocol.ID]*exchange)}
}

// streamCredit is the first limit of the streams of both ends.
const streamCredit = 64 << 10

// Unwrap lets transport.As look inside.
func (w *wire) Unwrap() transport.Conn { return w.Conn }

func (w *wire) Read(buf []byte) ([]byte, error) {
	b, err := w.Conn.Read(buf)
	if err != nil {
		w.mu.Lock()
		w.over = true
		w.mu.Unlock()
		return b, err
	}
	if m, err := protocol.V3_0.Parse(b); err == nil {
		w.note(w.saw(true, m))
	}
	return b, nil
}

func (w *wire) Write(msgs ...[]byte) error {
	for _, b := range msgs {
		if m, err := protocol.V3_0.Parse(b); err == nil {
			w.note(w.saw(false, m))
		}
	}
	err := w.Conn.Write(msgs...)
	if err != nil {
		w.mu.Lock()
		w.over = true
		w.mu.Unlock()
	}
	return err
}

func (w *wire) note(violation string) {
	if violation != "" {
		w.h.violated("%s", violation)
	}
}

// saw takes note of a message, and returns how it breaks the protocol, if it does.
func (w *wire) saw(ofClient bool, m protocol.Message) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	own, others := w.requests, w.asks // requests of the sender, and of the other end
	if !ofClient {
		own, others = others, own
	}
	switch m.Kind {
	case protocol.Request, protocol.RestoreSession, protocol.CloseSession:
		if own[m.ID] != nil {
			return fmt.Sprintf("the id %x is used twice", m.ID)
		}
		own[m.ID] = &exchange{stream: m.Head.Stream(), limit: streamCredit}
	case protocol.Reply, protocol.ReplyError, protocol.ReplyFailure:
		e := others[m.ID]
		switch {
		case e == nil:
			return fmt.Sprintf("an answer to a request that nobody made: %x", m.ID)
		case e.answered:
			return fmt.Sprintf("a second answer to request %x: %v", m.ID, m.Kind)
		}
		e.answered = true
	case protocol.Item:
		e := others[m.ID]
		switch {
		case e == nil || !e.stream:
			return fmt.Sprintf("an item that nobody wants: %x", m.ID)
		case e.answered:
			return fmt.Sprintf("an item after the answer: %x", m.ID)
		case e.sent >= e.limit:
			return fmt.Sprintf("an item beyond the limit: %x", m.ID)
		}
		e.sent += uint64(len(m.Payload.Data)) + protocol.ItemOverhead
	case protocol.Credit:
		e := own[m.ID]
		if e == nil || !e.stream {
			return fmt.Sprintf("credit for no stream: %x", m.ID)
		}
		e.limit = max(e.limit, m.Number)
	case protocol.Cancel:
		if own[m.ID] == nil {
			return fmt.Sprintf("a cancel before its request: %x", m.ID)
		}
	}
	return ""
}

// open returns the number of requests without an answer on a connection that lives.
func (w *wire) open() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return 0
	}
	for _, requests := range []map[protocol.ID]*exchange{w.requests, w.asks} {
		for _, e := range requests {
			if !e.answered {
				n++
			}
		}
	}
	return n
}

// answered sees to it that each request has its answer.
func (h *host) answered() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.wires {
		if n := w.open(); n > 0 {
			h.w.h.violated("%d requests have no answer", n)
		}
	}
}

// watchingListener is a listener whose connections are watched.
type watchingListener struct {
	transport.Listener
	w *world
}

func (l *watchingListener) Accept(opts transport.AcceptOptions) (transport.Conn, error) {
	conn, err := l.Listener.Accept(opts)
	if err != nil {
		return nil, err
	}
	watched := newWire(conn, l.w.h)
	h := l.w.host
	h.mu.Lock()
	h.wires = append(h.wires, watched)
	h.mu.Unlock()
	return watched, nil
}
