package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// role is a Conn in its part as the serving end of its link.
type role Conn

// Receive starts what a message asks for.
func (r *role) Receive(m protocol.Message) {
	c := (*Conn)(r)
	size := link.Cost(m)
	switch m.Kind {
	case protocol.Request:
		c.spoke = true
		if in := newRequest(c, m); !c.link.Go(size, in) {
			c.refuse(m.ID)
		}
	case protocol.Signal:
		c.spoke = true
		if c.server.opts.Hooks.OnSignal == nil || !c.link.Order(size, newSignal(c, m)) {
			c.link.Drop()
		}
	case protocol.RestoreSession, protocol.CloseSession:
		if !c.link.Order(size, newSessionRequest(c, m)) {
			c.refuse(m.ID)
		}
	case protocol.Heartbeat:
		// That it arrived is all it says.
	default:
		c.react(manners.Of(c.info.Version).Misdirected(m.Kind), m.ID)
	}
}

// Ended frees the session of the connection, which has ended.
func (r *role) Ended() { r.server.sessions.vacate((*Conn)(r)) }

// Malformed does what the version says about a message that breaks it.
func (r *role) Malformed(m protocol.Message, _ error) {
	c := (*Conn)(r)
	c.react(manners.Of(c.info.Version).Malformed(m), m.ID)
}

// Overflow ends a connection that has no room for an answer.
func (r *role) Overflow() { (*Conn)(r).tooSlow() }

func (c *Conn) react(reaction manners.Reaction, id protocol.ID) {
	switch reaction {
	case manners.Ignore:
		c.link.Drop()
	case manners.AnswerInternalError:
		c.answer(c.info.Version.Failure(id, protocol.ErrInternal))
	case manners.AnswerProtocolError:
		c.answer(c.info.Version.Failure(id, protocol.ErrProtocol))
	case manners.Disconnect:
		c.link.Disconnect(transport.StatusProtocolError, "protocol error", ErrProtocolViolation)
	}
}

// refuse answers a request that came after the connection took its last.
func (c *Conn) refuse(id protocol.ID) { c.answer(c.info.Version.Failure(id, protocol.ErrShutdown)) }

// answer is reply for the goroutine that reads, which must not wait for a peer
// that does not.
func (c *Conn) answer(m protocol.Message) {
	// A reply of these kinds can always be composed.
	msg, _ := c.info.Version.Append(nil, m)
	if err := c.link.TrySendEncoded(msg); err != nil {
		c.tooSlow() // or gone, then this does nothing
	}
}

// reply sends a reply. If that cannot be composed, for its payload, the client
// learns that the server failed, or that the reply is too long for it.
func (c *Conn) reply(m protocol.Message) {
	err := c.link.Send(context.Background(), m)
	if err == nil || c.link.Cause() != nil {
		return
	}
	c.log(replyLost, "webwire: reply cannot be sent", "error", textOf(err))
	if errors.Is(err, protocol.ErrTooBig) {
		msg, _ := c.info.Version.Append(nil, m) // it was composed before
		m := c.info.Version.Failure(m.ID, &protocol.Error{Code: protocol.CodeTooBig, Message: fmt.Sprintf(
			"the reply has %d bytes, this client takes messages of at most %d", len(msg), c.limit)})
		if c.link.Send(context.Background(), m) == nil {
			return
		}
	}
	// If this fails too the connection is gone.
	_ = c.link.Send(context.Background(), c.info.Version.Failure(m.ID, protocol.ErrInternal))
}

// fail answers a request whose handler returned err.
func (c *Conn) fail(id protocol.ID, name string, err error) {
	m := c.info.Version.Failure(id, err)
	if m.Kind == protocol.ReplyInternalError && !deliberate(err) {
		e := requestFailed
		if c.endedBy(err) {
			e = requestLeft
		}
		c.log(e, "webwire: request failed", "request", loggable(name), "error", loggable(link.ConcealText(fmt.Sprint(err), c.sessionKey())))
	}
	c.reply(m)
}

// deliberate reports whether err is the internal error of this server: of a handler
// that chose to answer it, or after a panic, which has been logged.
func deliberate(err error) bool { return errors.Is(err, protocol.ErrInternal) && !fromPeer(err) }

// fromPeer reports whether err is what another server answered to a handler or hook.
func fromPeer(err error) bool {
	var peer *protocol.PeerError
	return errors.As(err, &peer)
}

// endedBy reports whether err, of a handler, says no more than that the connection has
// ended.
func (c *Conn) endedBy(err error) bool {
	ctx := c.link.Context()
	return ctx.Err() != nil &&
		(errors.Is(err, context.Canceled) || errors.Is(err, ErrConnClosed) || errors.Is(err, context.Cause(ctx)))
}

// panicked logs the end of user code that did not return.
func (c *Conn) panicked(what string, value any, stack []byte) {
	c.server.log.panicked(what, concealed(value, c.sessionKey()), stack, "remote", textOf(c.info.RemoteAddr))
}

// concealed returns the text of what user code panicked with, without a session's key.
func concealed(value any, key string) any {
	if value == nil {
		return nil
	}
	return link.ConcealText(fmt.Sprint(value), key)
}

func (c *Conn) log(e event, msg string, args ...any) {
	c.server.log.write(e, msg, append(args, "remote", textOf(c.info.RemoteAddr))...)
}

// inlineSize is up to which size a message is kept beside its request or signal.
const inlineSize = 64

// request is a Request in flight, with everything it needs in one allocation.
type request struct {
	Request
	id    protocol.ID
	space [inlineSize]byte
}

func newRequest(c *Conn, m protocol.Message) *request {
	in := &request{id: m.ID}
	m = m.Clone(in.space[:0])
	in.Request = Request{Conn: c, Name: m.Name, Payload: m.Payload}
	return in
}

func (in *request) Run() {
	c := in.Conn
	began := c.link.Begin()
	p, err := c.server.opts.Hooks.OnRequest(c.link.Context(), &in.Request)
	c.link.Took(began)
	if err != nil {
		c.fail(in.id, in.Name, err)
		return
	}
	c.reply(protocol.Message{Kind: protocol.Reply, ID: in.id, Payload: p})
}

func (in *request) Panicked(value any, stack []byte) {
	in.Conn.panicked("handler of request "+quoted(in.Name), value, stack)
	in.Conn.reply(in.Conn.info.Version.Failure(in.id, protocol.ErrInternal))
}

// signal is a Signal in flight.
type signal struct {
	Signal
	space [inlineSize]byte
}

func newSignal(c *Conn, m protocol.Message) *signal {
	in := &signal{}
	m = m.Clone(in.space[:0])
	in.Signal = Signal{Conn: c, Name: m.Name, Payload: m.Payload}
	return in
}

func (in *signal) Run() {
	c := in.Conn
	began := c.link.Begin()
	c.server.opts.Hooks.OnSignal(c.link.Context(), &in.Signal)
	c.link.Took(began)
}

func (in *signal) Panicked(value any, stack []byte) {
	in.Conn.panicked("handler of signal "+quoted(in.Name), value, stack)
}

// connected and disconnected are the calls of the hooks of that name.
type connected Conn

func (h *connected) Run() {
	h.announced = true
	defer h.admitted.Store(true) // also if it ends this goroutine
	h.server.opts.Hooks.OnClientConnected((*Conn)(h))
}

func (h *connected) Panicked(value any, stack []byte) {
	(*Conn)(h).panicked("OnClientConnected", value, stack)
}

type disconnected struct {
	conn   *Conn
	reason error
}

func (h *disconnected) Run() { h.conn.server.opts.Hooks.OnClientDisconnected(h.conn, h.reason) }

func (h *disconnected) Panicked(value any, stack []byte) {
	h.conn.panicked("OnClientDisconnected", value, stack)
}

var _ link.Role = (*role)(nil)
