package server

import (
	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// receiver is a Conn as its link sees it: it gets the messages that arrive.
type receiver Conn

// Receive starts the handler of a message.
func (r *receiver) Receive(m protocol.Message) {
	c := (*Conn)(r)
	size := link.Cost(m)
	switch m.Kind {
	case protocol.Request:
		c.spoke = true
		if in := newRequest(c, m); !c.link.Serve(&in.call, &m, size, in) {
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
	case protocol.Subscribe:
		c.subscribe(m)
	case protocol.Unsubscribe:
		c.unsubscribe(m.Ref)
	case protocol.Heartbeat:
		// Its arrival is its meaning.
	default:
		c.react(manners.Of(c.info.Version).Misdirected(m.Kind), m.ID)
	}
}

// Ended releases what the connection has, which has ended.
func (r *receiver) Ended() {
	c := (*Conn)(r)
	c.server.sessions.vacate(c)
	c.leaveTopics()
}

// Malformed reacts to a message that could not be parsed as the version requires.
func (r *receiver) Malformed(m protocol.Message, _ error) {
	c := (*Conn)(r)
	c.react(manners.Of(c.info.Version).Malformed(m), m.ID)
}

// Overflow ends a connection that has no room for an answer.
func (r *receiver) Overflow() { (*Conn)(r).tooSlow() }

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

// refuse answers a request that arrived after the connection began to drain.
func (c *Conn) refuse(id protocol.ID) { c.answer(c.info.Version.Failure(id, protocol.ErrShutdown)) }

// answer sends a reply without waiting for room in the outbox: the goroutine that reads
// must not wait for a peer that does not.
func (c *Conn) answer(m protocol.Message) {
	// Replies of these kinds can always be encoded.
	msg, _ := c.info.Version.Append(nil, m)
	if err := c.link.TrySendEncoded(msg); err != nil {
		c.tooSlow() // does nothing if the connection has ended
	}
}

var _ link.Role = (*receiver)(nil)
