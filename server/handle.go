package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/logs"
	"github.com/webwire-go/webwire/protocol"
)

// inlineSize is the size up to which a message is stored in its request or signal.
const inlineSize = 64

// request is a Request in flight; one allocation holds all of it.
type request struct {
	Request
	call  link.Incoming
	space [inlineSize]byte
}

func newRequest(c *Conn, m protocol.Message) *request {
	in := &request{}
	m = m.Clone(in.space[:0])
	in.Request = Request{Conn: c, Name: m.Name, Payload: m.Payload, Meta: m.Head}
	return in
}

func (in *request) Run() {
	c := in.Conn
	if !in.call.Begin() {
		return
	}
	if c.refused {
		in.call.End()
		c.link.Drop()
		return
	}
	began := c.link.Begin()
	p, err := c.server.opts.Hooks.OnRequest(in.call.Context(), &in.Request)
	c.link.Took(began)
	in.call.End()
	if err == nil {
		c.reply(protocol.Message{Kind: protocol.Reply, ID: in.call.ID(), Payload: p})
		return
	}
	if m, theirs := in.call.Failure(err); theirs {
		c.reply(m)
	} else {
		c.failWith(m, in.Name, err)
	}
}

func (in *request) Panicked(value any, stack []byte) {
	in.Conn.panicked("handler of request "+quoted(in.Name), value, stack)
	in.call.End()
	in.Conn.reply(in.Conn.info.Version.Failure(in.call.ID(), protocol.ErrInternal))
}

// signal is a Signal in flight.
type signal struct {
	Signal
	space [inlineSize]byte
}

func newSignal(c *Conn, m protocol.Message) *signal {
	in := &signal{}
	m = m.Clone(in.space[:0])
	in.Signal = Signal{Conn: c, Name: m.Name, Payload: m.Payload, Meta: m.Head}
	return in
}

func (in *signal) Run() {
	c := in.Conn
	if c.refused {
		c.link.Drop()
		return
	}
	began := c.link.Begin()
	c.server.opts.Hooks.OnSignal(c.link.Context(), &in.Signal)
	c.link.Took(began)
}

func (in *signal) Panicked(value any, stack []byte) {
	in.Conn.panicked("handler of signal "+quoted(in.Name), value, stack)
}

// reply sends a reply. If it cannot be encoded or is too long for the client, the client
// gets an error instead.
func (c *Conn) reply(m protocol.Message) {
	err := c.link.Reply(m)
	if err == nil || c.link.Cause() != nil {
		return
	}
	c.log(replyLost, "webwire: reply cannot be sent", "error", logs.Text(err))
	if errors.Is(err, protocol.ErrTooBig) {
		msg, _ := c.info.Version.Append(nil, m) // it was encoded before
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
	c.failWith(c.info.Version.Failure(id, err), name, err)
}

// failWith is fail with m as the answer.
func (c *Conn) failWith(m protocol.Message, name string, err error) {
	if isInternal(m) && !deliberate(err) {
		e := requestFailed
		if c.endedBy(err) {
			e = requestLeft
		}
		c.log(e, "webwire: request failed", "request", logs.Clean(name), "error", c.logText(err))
	}
	c.reply(m)
}

// isInternal reports whether m answers that the handler failed.
func isInternal(m protocol.Message) bool {
	return m.Kind == protocol.ReplyInternalError ||
		m.Kind == protocol.ReplyFailure && protocol.FailureCode(m.Payload.Data[0]) == protocol.FailureInternal
}

// deliberate reports whether err needs no log record: a handler returned
// protocol.ErrInternal on purpose, or it panicked, which has been logged.
func deliberate(err error) bool { return errors.Is(err, protocol.ErrInternal) && !fromPeer(err) }

// fromPeer reports whether err is what another server answered to a handler or hook.
func fromPeer(err error) bool {
	var peer *protocol.PeerError
	return errors.As(err, &peer)
}

// endedBy reports whether a handler returned err only because the connection has ended.
func (c *Conn) endedBy(err error) bool {
	ctx := c.link.Context()
	return ctx.Err() != nil &&
		(errors.Is(err, context.Canceled) || errors.Is(err, ErrConnClosed) || errors.Is(err, context.Cause(ctx)))
}
