package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
)

// SubscribeOptions says what a subscription wants. The zero value takes the publications
// that follow.
type SubscribeOptions struct {
	// Since is the position after which publications are wanted, of
	// Subscription.Position for instance. A pointer to the zero Position asks for all
	// that the server still has. Nil: only those that follow.
	Since *protocol.Position

	// OnGap is called when publications of the topic are lost, by the goroutine that
	// iterates over Messages, between the messages before and after the gap. Nil:
	// Messages ends with the *GapError.
	OnGap func(g *GapError)

	// Presence is called when a member of the topic comes or leaves, by the goroutine that
	// iterates over Messages; first of all for each member that is there. After a loss of
	// the connection it is called for what has changed. On a server or node with more than
	// 1000 members of the topic those that were there before are not known, only their
	// number, to server.Topic.Count. The subscription keeps at most 5 MiB of the members that
	// it knows, about 30,000 of them: their ids and infos, and 96 bytes for each. A snapshot
	// of the server has the same limit. If there are more the subscription ends with
	// ErrTooManyMembers. The topic needs presence at the server. Nil: the server is not asked.
	Presence func(e PresenceEvent)
}

// PresenceEvent says that a member of a topic has come or left.
type PresenceEvent struct {
	// Op is PresenceEnter or PresenceLeave. The protocol has PresenceUpdate too, for a
	// member whose info changes; package server sends none.
	Op   protocol.PresenceOp
	ID   string          // of the member
	Info json.RawMessage // what the server tells of it, nil for none, if it is too long for Options.MaxMessageSize, and when it leaves
}

// Message is a publication of a topic. It belongs to the caller.
type Message struct {
	Position protocol.Position // zero if the topic has no history
	Name     string
	Payload  protocol.Payload
	Meta     protocol.Head // trace context and metadata, nil if there are none
}

// GapError says that publications of a topic are lost: the server does not have them any
// more, or the topic has no history and the client was out of reach, or the client or its
// connection did not keep up.
type GapError struct {
	Topic    string
	Lost     uint64            // how many; zero: unknown
	Position protocol.Position // after which the subscription goes on; zero if the topic has no history
}

func (e *GapError) Error() string {
	if e.Lost == 0 {
		return fmt.Sprintf("client: publications of topic %q are lost", e.Topic)
	}
	return fmt.Sprintf("client: %d publications of topic %q are lost", e.Lost, e.Topic)
}

var errTopicName = fmt.Errorf("client: the name of a topic has 1 to %d bytes: %w", maxTopic, protocol.ErrMalformed)

// maxTopic is the number of bytes of the name of a topic.
const maxTopic = 255

// Subscribe subscribes to a topic and returns when the server has confirmed it: what is
// published from then on arrives. It waits for a connection and for the confirmation
// until ctx ends, or for Options.Timeout if ctx has no deadline; ctx does not limit the
// subscription, which lasts until Subscription.Close or Close.
//
// The subscription outlives connections: on each new one the client subscribes again by
// itself, after the last position it has. It ends with an error if that is refused, if
// the client gives up connecting, or, with Options.DisableAutoconnect, with the connection.
//
// Errors are those of Request, and one that wraps protocol.ErrUnsupported if the server
// speaks a version before 3.0.
func (c *Client) Subscribe(ctx context.Context, topic string, o SubscribeOptions) (*Subscription, error) {
	if topic == "" || len(topic) > maxTopic {
		return nil, errTopicName
	}
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer c.exit()
	s := newSubscription(c, topic, o)
	l, err := s.subscribe(ctx)
	if err == nil {
		err = c.own(func() { s.keep(l) })
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// own runs do in a goroutine that Close waits for.
func (c *Client) own(do func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status == Closed {
		return ErrClosed
	}
	c.owned.Go(do)
	return nil
}

// subscribe subscribes on the connection, and returns that.
func (s *Subscription) subscribe(ctx context.Context) (*link.Link, error) {
	c := s.client
	w := waiter{purpose: toRequest}
	for {
		l, timeout, err := c.await(ctx, &w)
		if err != nil {
			return nil, err
		}
		if v := l.Version(); v < protocol.V3_0 {
			return nil, &link.UnsentError{Err: fmt.Errorf("client: server speaks protocol %v, topics need 3.0: %w", v, protocol.ErrUnsupported)}
		}
		stale, body := s.begin()
		if m := (protocol.Message{Kind: protocol.Unsubscribe, Ref: stale}); stale != 0 && l.Send(ctx, m) != nil {
			l.Answer(m) // ctx has ended, or the connection
		}
		_, err = l.Request(ctx, body.Message(), timeout, func(p protocol.Payload) error {
			at, err := p.Position()
			if err == nil {
				s.confirmed(body, at)
			}
			return err
		})
		if err == nil && !s.isDoubtful() {
			return l, nil
		}
		if err == nil {
			continue
		}
		s.forget(body.Ref)
		if c.again(&w, l, err) {
			continue
		}
		var lost *link.LostError
		if errors.As(err, &lost) { // the connection has ended, and the subscription with it
			w.gone = l
			continue
		}
		l.Answer(protocol.Message{Kind: protocol.Unsubscribe, Ref: body.Ref}) // the server may make it yet
		return nil, c.outcome(ctx, &w, l, err)
	}
}

// keep subscribes again on each new connection after l, and whenever it has to, until the
// subscription ends.
func (s *Subscription) keep(l *link.Link) {
	for {
		select {
		case <-l.Context().Done():
			s.detach()
		case <-s.resubscribe:
		case <-s.over.Done():
			s.leave(l)
			return
		}
		if !s.awaitRoom() {
			s.leave(l)
			return
		}
		next, err := s.subscribeAgain()
		if err != nil {
			if l := s.client.link.Load(); l != nil {
				s.leave(l) // the server may have the one that was to be replaced
			}
			s.fail(err)
			return
		}
		l = next
	}
}

// subscribeAgain repeats subscribe as long as that may succeed.
func (s *Subscription) subscribeAgain() (*link.Link, error) {
	for tries := 0; ; tries++ {
		l, err := s.subscribe(s.over)
		if err == nil || s.over.Err() != nil || !worthAgain(err) {
			return l, err
		}
		if !s.sleep(s.client.backoff(tries, nil)) {
			return nil, err
		}
	}
}

// worthAgain reports whether a subscription that was in effect may be so again, after the
// attempt to subscribe failed with err.
func worthAgain(err error) bool {
	var failure *protocol.FailureError
	var late *TimeoutError
	switch {
	case errors.As(err, &failure):
		return failure.Code.Retryable() || failure.Code == protocol.FailureInternal
	case errors.As(err, &late), errors.Is(err, errSessionChanged):
		return true
	}
	return false
}
