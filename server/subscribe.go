package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// subscribing is a subscribe of a client in flight.
type subscribing struct {
	conn     *Conn
	body     protocol.SubscribeBody
	reserved *reservation // of its ref
	call     link.Incoming
}

// subscribe starts the handling of a subscribe.
func (c *Conn) subscribe(m protocol.Message) {
	body, err := m.Subscribe()
	if err == nil && engine.CheckName(body.Topic) != nil {
		c.answer(c.info.Version.Failure(m.ID, &protocol.Error{Code: "BAD_TOPIC", Message: "the name of a topic has 1 to 255 bytes"}))
		return
	}
	if err == nil && c.server.opts.Hooks.OnSubscribe == nil {
		c.answer((&protocol.FailureError{Code: protocol.FailureUnsupported, Text: "Hooks.OnSubscribe is nil"}).Message(m.ID))
		return
	}
	var reserved *reservation
	full := false
	if err == nil {
		reserved, full = c.members.reserve(body.Ref)
	}
	switch {
	case full:
		c.answer(protocol.FailureTooMany.Failure().Message(m.ID))
	case reserved == nil:
		c.link.Disconnect(transport.StatusProtocolError, "protocol error", ErrProtocolViolation)
	default:
		c.spoke = true
		s := &subscribing{conn: c, body: body, reserved: reserved}
		if !c.link.Serve(&s.call, &m, link.Cost(m), s) {
			c.members.free(body.Ref, reserved)
			c.refuse(m.ID)
		}
	}
}

// unsubscribe ends a subscription.
func (c *Conn) unsubscribe(ref uint32) {
	if m := c.members.detach(ref); m != nil {
		m.leave()
	}
}

// Removed frees the ref of a subscription that was cancelled while it waited.
func (s *subscribing) Removed() { s.conn.members.free(s.body.Ref, s.reserved) }

func (s *subscribing) Run() {
	c := s.conn
	if !s.call.Begin() {
		s.Removed()
		return
	}
	if c.refused {
		s.call.End()
		c.link.Drop()
		return
	}
	ended := false
	end := func() {
		ended = true
		s.call.End()
	}
	err := s.subscribe(s.call.Context(), end)
	if err == nil {
		return
	}
	c.members.free(s.body.Ref, s.reserved)
	if !ended {
		s.call.End()
	}
	if err == errUnsubscribed {
		c.reply(protocol.FailureCancelled.Failure().Message(s.call.ID()))
		return
	}
	m, theirs := s.call.Failure(err)
	if theirs {
		c.reply(m)
		return
	}
	var failed *engineError
	if errors.As(err, &failed) {
		m = s.refusal(failed)
	}
	c.failWith(m, "subscribe", err)
}

// subscribe asks OnSubscribe and makes the connection a member.
func (s *subscribing) subscribe(ctx context.Context, end func()) error {
	c := s.conn
	info, err := c.server.opts.Hooks.OnSubscribe(ctx, c, s.body.Topic)
	if err != nil {
		return err
	}
	var encoded json.RawMessage
	if info != nil {
		if encoded, err = json.Marshal(info); err != nil {
			return fmt.Errorf("server: the member that OnSubscribe returned: %w", err)
		}
	}
	t := &c.server.topics
	if s.body.Presence && !t.options(s.body.Topic).Presence {
		return &engineError{errNoPresence}
	}
	e, err := t.hold(ctx, s.body.Topic)
	if err != nil {
		return &engineError{err}
	}
	m := newMember(e, c)
	m.ref, m.watching = s.body.Ref, s.body.Presence
	m.tell("", encoded)
	if !c.members.attach(m, s.reserved) {
		e.release()
		if c.members.isMoving() {
			return &engineError{errMoving} // the client subscribes again
		}
		if c.link.Context().Err() == nil {
			return errUnsubscribed
		}
		return context.Canceled
	}
	if err := e.recover(ctx, m, s.call.ID(), s.body.Since, end); err != nil {
		m.leave()
		return &engineError{err}
	}
	return nil
}

var (
	errMoving       = errors.New("server: the connection moves to another node")
	errUnsubscribed = errors.New("server: the client has unsubscribed before the reply")
)

// engineError is why the engine does not let a client subscribe.
type engineError struct{ err error }

func (e *engineError) Error() string { return e.err.Error() }
func (e *engineError) Unwrap() error { return e.err }

// refusal returns the answer to a subscribe that the engine does not let happen.
func (s *subscribing) refusal(err *engineError) protocol.Message {
	if errors.Is(err, protocol.ErrUnsupported) {
		return (&protocol.FailureError{Code: protocol.FailureUnsupported, Text: err.Error()}).Message(s.call.ID())
	}
	return protocol.FailureUnavailable.Failure().Message(s.call.ID())
}

func (s *subscribing) Panicked(value any, stack []byte) {
	c := s.conn
	c.panicked("OnSubscribe", value, stack)
	if m, _ := c.members.free(s.body.Ref, s.reserved); m != nil {
		m.leave()
	}
	s.call.End()
	c.reply(c.info.Version.Failure(s.call.ID(), protocol.ErrInternal))
}
