package sim

import (
	"fmt"
	"sync"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// wire watches the messages of a socket of 3.0 at the server's end.
type wire struct {
	transport.Conn
	h *history

	mu    *sync.Mutex      // of all wires of a world
	over  bool             // the socket has ended
	limit uint64           // the first of the streams to the client
	claim *protocol.Resume // of the client; nil: it wants a new connection
	trap  trap             // springs once
	late  int              // so many messages to the client come next that are not counted
	next  uint64           // the number of the next counted message to the client
	*talk
}

// talk is what is said on a connection, whose sockets come one after the other.
type talk struct {
	wire     *wire                     // the socket that carries it
	requests map[protocol.ID]*exchange // of the client
	asks     map[protocol.ID]*exchange // of the server
	heard    uint64                    // counted messages of the client that the server has read
	acked    uint64                    // counted messages that the client says it has received
	secrets  []protocol.Secret         // of welcomes, the newest last
	previous protocol.Secret           // the newest that a client has used
	id       protocol.ConnID           // zero: it cannot be resumed
	attempt  uint32                    // of the last client that came back
	said     map[uint64]said           // counted messages to the client, by their numbers
	belated  map[said]bool             // messages to the client without a number
	end      uint64                    // the number after that of the last one
}

// said is a message to the client.
type said struct {
	kind protocol.Kind
	id   protocol.ID
	text string // of a signal
}

// exchange is a request on the wire.
type exchange struct {
	answered    bool
	lost        bool // the answer says that items are lost: what follows is dropped
	stream      bool
	sent, limit uint64 // of the items
}

// streamCredit is the first limit of a stream, unless hello says another.
const streamCredit = 64 << 10

func newWire(conn transport.Conn, h *history, mu *sync.Mutex) *wire {
	w := &wire{Conn: conn, h: h, mu: mu, next: 1, limit: streamCredit}
	w.talk = &talk{
		wire:     w,
		requests: make(map[protocol.ID]*exchange),
		asks:     make(map[protocol.ID]*exchange),
		said:     make(map[uint64]said),
		belated:  make(map[said]bool),
		end:      1,
	}
	return w
}

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
		if w.springs(m.Kind) {
			w.cut()
		}
	}
	return b, nil
}

func (w *wire) Write(msgs ...[]byte) error {
	springs := false
	for _, b := range msgs {
		if m, err := protocol.V3_0.Parse(b); err == nil {
			w.note(w.saw(false, m))
			springs = springs || w.springs(m.Kind)
		}
	}
	err := w.Conn.Write(msgs...)
	if springs {
		w.cut() // what was written is lost on the way
	}
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
	case protocol.Hello:
		return w.hello(m)
	case protocol.Welcome:
		return w.welcome(m)
	case protocol.Ack:
		return w.ack(ofClient, m.Number)
	}
	if protocol.V3_0.Counted(m.Kind) {
		if ofClient {
			w.heard++
		} else if again, violation := w.repeats(m); again || violation != "" {
			return violation
		}
	}
	switch m.Kind {
	case protocol.Request, protocol.RestoreSession, protocol.CloseSession:
		if own[m.ID] != nil {
			return fmt.Sprintf("the id %x is used twice", m.ID)
		}
		own[m.ID] = &exchange{stream: m.Head.Stream(), limit: w.limit}
	case protocol.Reply, protocol.ReplyError, protocol.ReplyFailure:
		e := others[m.ID]
		switch {
		case e == nil:
			return fmt.Sprintf("an answer to a request that nobody made: %x", m.ID)
		case e.answered && !e.lost:
			return fmt.Sprintf("a second answer to request %x: %v", m.ID, m.Kind)
		}
		e.answered = true
		if f, err := m.Failure(); err == nil && f.Code == protocol.FailureStreamLost {
			e.lost = true
		}
	case protocol.Item:
		e := others[m.ID]
		switch {
		case e == nil || !e.stream:
			return fmt.Sprintf("an item that nobody wants: %x", m.ID)
		case e.answered && !e.lost:
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

// hello takes note of what a client claims.
func (w *wire) hello(m protocol.Message) string {
	b, err := m.Hello()
	if err != nil {
		return err.Error()
	}
	w.claim, w.limit = b.Resume, uint64(b.StreamCredit)
	return ""
}

// ack takes note of what an end has received.
func (w *wire) ack(ofClient bool, received uint64) string {
	if !ofClient {
		if received > w.heard {
			return fmt.Sprintf("the server acknowledges %d messages, and has read %d", received, w.heard)
		}
		return ""
	}
	if received >= w.end {
		return fmt.Sprintf("the client acknowledges %d messages, and %d were sent", received, w.end-1)
	}
	w.acked = max(w.acked, received)
	return ""
}

// welcome takes note of how a connection goes on, or begins. The talks of a world are those
// of its history.
func (w *wire) welcome(m protocol.Message) string {
	b, err := m.Welcome()
	switch {
	case err != nil:
		return err.Error()
	case !b.Outcome.Resumed():
		if b.Window > 0 {
			if w.h.talks[b.Conn] != nil {
				return fmt.Sprintf("the connection id %x is used twice", b.Conn)
			}
			w.h.talks[b.Conn] = w.talk
			w.talk.id = b.Conn
			w.secrets = append(w.secrets, b.Secret)
		}
		return ""
	}
	t := w.h.talks[b.Conn]
	if t == nil || w.claim == nil {
		return fmt.Sprintf("connection %x goes on and never began", b.Conn)
	}
	if w.talk.heard > 0 || w.talk.end > 1 {
		return fmt.Sprintf("something comes before connection %x goes on", b.Conn)
	}
	first := w.claim.Attempt > t.attempt
	w.talk, t.wire = t, w
	w.late, w.next = b.Late, b.From
	t.attempt = max(t.attempt, w.claim.Attempt)
	t.acked = max(t.acked, w.claim.Received)
	newest := w.claim.Secret == t.secrets[len(t.secrets)-1]
	known := newest || w.claim.Secret == t.previous
	if newest {
		t.previous = w.claim.Secret
	}
	t.secrets = append(t.secrets, b.Secret)
	lost := int64(b.From) - 1 - int64(w.claim.Received) - int64(b.Late)
	t.end = max(t.end, b.From) // those before that were never written are late or lost
	switch {
	case !first:
		return fmt.Sprintf("the server takes attempt %d after %d", w.claim.Attempt, t.attempt)
	case !known:
		return "the server takes a secret that is older than the last one that was used"
	case b.Received != t.heard:
		return fmt.Sprintf("the server says that it has received %d messages, which are %d", b.Received, t.heard)
	case lost < 0 || (lost > 0) != (b.Outcome == protocol.OutcomeGap):
		return fmt.Sprintf("the server goes on at message %d after %d, with %d late ones: %v", b.From, w.claim.Received, b.Late, b.Outcome)
	}
	return ""
}

// repeats reports whether a counted message was sent on an earlier socket, and how it
// differs from what was sent then, if it does.
func (w *wire) repeats(m protocol.Message) (again bool, violation string) {
	is := said{kind: m.Kind, id: m.ID}
	if m.Kind == protocol.Signal {
		is.text = string(m.Payload.Data)
	}
	if w.late > 0 {
		w.late--
		if m.Kind == protocol.Signal || m.Kind == protocol.Item {
			return true, fmt.Sprintf("%v is late", m.Kind)
		}
		for _, before := range w.said {
			if before.id == m.ID && (before.kind == m.Kind || before.kind.IsReply() && m.Kind.IsReply()) {
				return true, ""
			}
		}
		if is.kind.IsReply() {
			is.kind = protocol.Reply // which may be cut short to a failure
		}
		again = w.belated[is] // on an earlier socket, which it did not need a number for
		w.belated[is] = true
		return again, ""
	}
	number := w.next
	w.next++
	before, again := w.said[number]
	w.said[number] = is
	w.end = max(w.end, w.next)
	if !again {
		return false, ""
	}
	lost := m.Kind == protocol.ReplyFailure && (before.kind.IsReply() || before.kind == protocol.Item) // its stream is lost
	if is != before && (!lost || is.id != before.id) {
		return true, fmt.Sprintf("message %d is %v %x %q when it is sent again, and was %v %x %q", number, is.kind, is.id, is.text, before.kind, before.id, before.text)
	}
	return true, ""
}

// open returns the number of requests without an answer on a connection whose socket
// lives.
func (w *wire) open() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over || w.talk.wire != w {
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
	watched := newWire(conn, l.w.h, &l.w.talking)
	if l.w.mutate == nil {
		l.w.mu.Lock()
		if !l.w.calm {
			watched.trap = setTrap(l.w.traps)
		}
		l.w.mu.Unlock()
	}
	h := l.w.host
	h.mu.Lock()
	h.wires = append(h.wires, watched)
	h.mu.Unlock()
	return watched, nil
}
