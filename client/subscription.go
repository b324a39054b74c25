package client

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
)

// Subscription gets the publications of a topic. Its methods may be called from any
// goroutine, but only one at a time may iterate over Messages.
//
// What arrives waits in the subscription until Messages takes it: at most 256 messages, or
// a quarter of Options.InboxSize. Then the client unsubscribes, so that a slow subscription
// does not hold up the connection, and subscribes again, after the last message it has,
// once Messages has taken them. With a history nothing is lost by that. The list of the members
// with which presence begins does not count.
type Subscription struct {
	client *Client
	topic  string
	opts   SubscribeOptions

	over        context.Context // ends with the subscription
	end         context.CancelFunc
	resubscribe chan struct{} // one slot
	arrived     chan struct{} // one slot
	seen        seen          // used by Messages

	mu       sync.Mutex
	queue    []arrival
	bytes    int               // of queue, without the parts of snapshots
	parts    int               // of snapshots, in queue
	partial  int               // bytes of those
	ref      uint32            // of the messages that are taken; zero: none are
	stale    uint32            // of a subscription that the server may still have; zero: none
	confirms int               // so far
	received protocol.Position // of the last message that was taken, or that the server named
	position protocol.Position // of the last message that Messages has returned
	paused   bool              // there was no room; it goes on when the queue is empty
	left     bool              // Close was called
	err      error             // why it ended otherwise
}

// arrival is what arrived for a subscription: one of the three.
type arrival struct {
	message  *Message
	gap      *GapError
	presence *protocol.PresenceBody
	cost     int
}

// isPart reports whether it is part of a snapshot of the members.
func (a arrival) isPart() bool { return a.presence != nil && a.presence.Op <= protocol.PresenceEnd }

const (
	maxArrivals = 256

	// maxSnapshot is how many bytes of snapshots wait, no fewer than their members may have. They do
	// not count for what else waits: the next subscribe brings the same snapshot.
	maxSnapshot = maxMembers
)

func newSubscription(c *Client, topic string, o SubscribeOptions) *Subscription {
	s := &Subscription{
		client: c, topic: topic, opts: o,
		resubscribe: make(chan struct{}, 1), arrived: make(chan struct{}, 1),
	}
	s.over, s.end = context.WithCancel(c.ctx)
	if o.Since != nil {
		s.received, s.position = *o.Since, *o.Since
	}
	return s
}

// Topic returns the name of the topic.
func (s *Subscription) Topic() string { return s.topic }

// Position returns the position of the last message that Messages has returned, or after
// which the first follows. It changes before the body of the loop runs: a program that
// stores the position after it has handled the message handles each at least once. It is
// zero if the topic has no history.
func (s *Subscription) Position() protocol.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.position
}

// Close ends the subscription, and Messages with it, without an error. It does not wait for
// the server, and may be called several times.
func (s *Subscription) Close() {
	s.mu.Lock()
	s.left = true
	s.mu.Unlock()
	s.end()
}

// Messages returns an iterator over the messages of the topic, in its order, each once:
//
//	for m, err := range subscription.Messages(ctx) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(m.Name, m.Payload.Text())
//	}
//
// An error is the last element: a *GapError unless SubscribeOptions.OnGap is set, that of
// ctx, ErrClosed after the end of the client, or why the subscription has ended. Leaving
// the loop does not end the subscription, nor does a gap or the end of ctx: another call
// of Messages goes on with the next message.
func (s *Subscription) Messages(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for {
			a, err := s.next(ctx)
			switch {
			case err == errLeft:
				return
			case err != nil:
				yield(Message{}, err)
				return
			case a.presence != nil:
				s.tellPresence(a.presence)
			case a.gap == nil:
				if !yield(*a.message, nil) {
					return
				}
			case s.opts.OnGap != nil:
				s.opts.OnGap(a.gap)
			default:
				yield(Message{}, a.gap)
				return
			}
		}
	}
}

// next waits for what Messages returns next.
func (s *Subscription) next(ctx context.Context) (arrival, error) {
	for {
		if err := ctx.Err(); err != nil {
			return arrival{}, err
		}
		if a, ok := s.take(); ok {
			return a, nil
		}
		if s.over.Err() != nil {
			return arrival{}, s.why()
		}
		select {
		case <-s.arrived:
		case <-ctx.Done():
		case <-s.over.Done():
		}
	}
}

// errLeft ends Messages after Close.
var errLeft = errors.New("client: the subscription was closed")

// why returns why a subscription has ended.
func (s *Subscription) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.left:
		return errLeft
	case s.err != nil:
		return s.err
	}
	return ErrClosed
}

// take takes the first arrival and moves the position, before the application sees it.
func (s *Subscription) take() (a arrival, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 || s.left {
		return a, false
	}
	a, s.queue[0] = s.queue[0], arrival{}
	s.count(a, -1)
	if s.queue = s.queue[1:]; len(s.queue) == 0 {
		s.queue = nil
		if s.paused {
			s.paused = false
			wake(s.resubscribe)
		}
	}
	switch {
	case a.message != nil:
		s.position = a.message.Position
	case a.gap != nil:
		s.position = a.gap.Position
	}
	return a, true
}

// begin prepares a subscribe. stale names a subscription to end before, zero for none.
func (s *Subscription) begin() (stale uint32, body protocol.SubscribeBody) {
	ref := s.client.subs.add(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.resubscribe: // that is what happens now
	default:
	}
	stale, s.stale = s.stale, 0
	s.ref = ref
	body = protocol.SubscribeBody{Ref: ref, Topic: s.topic, Presence: s.opts.Presence != nil}
	if s.received != (protocol.Position{}) || s.confirms == 0 && s.opts.Since != nil {
		since := s.received
		body.Since = &since
	}
	return stale, body
}

// confirmed takes the answer to a subscribe. The caller is the reader: no later message was
// received before.
func (s *Subscription) confirmed(body protocol.SubscribeBody, at protocol.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ref != body.Ref {
		return
	}
	s.confirms++
	s.received = at
	switch {
	case s.confirms > 1 && body.Since == nil: // nothing says what was missed
		s.appendGap(0, at)
	case s.confirms == 1 && len(s.queue) == 0:
		s.position = at
	}
}

// receive takes a message of the server for the subscription.
func (s *Subscription) receive(l *link.Link, m protocol.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ref != m.Ref || s.over.Err() != nil {
		l.Drop()
		return nil
	}
	switch m.Kind {
	case protocol.Publication:
		at := protocol.Position{Epoch: s.received.Epoch, Offset: m.Number}
		if m.Number == 0 {
			at = protocol.Position{}
		} else if m.Number <= s.received.Offset {
			return nil
		}
		a := arrival{message: &Message{Position: at}, cost: link.Cost(m)}
		if !s.hasRoom(l, a) {
			return nil
		}
		m = m.Clone(nil)
		a.message.Name, a.message.Payload, a.message.Meta = m.Name, m.Payload, m.Head
		s.append(a)
		if m.Number != 0 {
			s.received = at
		}
	case protocol.Gap:
		g, err := m.Gap()
		if err != nil {
			return err
		}
		s.received = g.Next
		s.appendGap(g.Lost, g.Next)
	case protocol.Presence:
		if s.opts.Presence == nil { // nobody asked for it
			l.Drop()
			return nil
		}
		p, err := m.Presence()
		if err != nil {
			return err
		}
		a := arrival{presence: &p, cost: link.Cost(m)}
		if !s.hasRoom(l, a) {
			return nil
		}
		p.Data = append([]byte(nil), p.Data...)
		s.append(a)
	}
	return nil
}

// hasRoom reports whether the queue takes an arrival. If not the subscription pauses. The
// caller holds mu.
func (s *Subscription) hasRoom(l *link.Link, a arrival) bool {
	switch n := len(s.queue) - s.parts; {
	case a.isPart():
		if s.partial <= maxSnapshot { // one more, so that it is too long for tellPresence too
			return true
		}
	case n == 0, n < maxArrivals && s.bytes+a.cost <= s.client.opts.InboxSize/4:
		return true
	}
	s.paused = true
	s.client.subs.forget(s.ref)
	l.Drop()
	l.Answer(protocol.Message{Kind: protocol.Unsubscribe, Ref: s.ref})
	s.ref = 0
	return false
}

// append adds an arrival. The caller holds mu.
func (s *Subscription) append(a arrival) {
	s.queue = append(s.queue, a)
	s.count(a, 1)
	wake(s.arrived)
}

// count counts an arrival that comes into the queue, or out of it if sign is -1. The caller holds
// mu.
func (s *Subscription) count(a arrival, sign int) {
	if a.isPart() {
		s.parts += sign
		s.partial += sign * a.cost
	} else {
		s.bytes += sign * a.cost
	}
}

// appendGap adds a gap, or makes the last arrival a larger one. The caller holds mu.
func (s *Subscription) appendGap(lost uint64, next protocol.Position) {
	if n := len(s.queue); n > 0 && s.queue[n-1].gap != nil {
		g := s.queue[n-1].gap
		if g.Lost == 0 || lost == 0 {
			g.Lost = 0
		} else {
			g.Lost += lost
		}
		g.Position = next
		return
	}
	s.append(arrival{gap: &GapError{s.topic, lost, next}})
}

// detach says that the connection of the subscription has ended.
func (s *Subscription) detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client.subs.forget(s.ref)
	s.ref, s.stale = 0, 0
}

// doubt says that messages of the connection were lost: the subscription begins anew after
// the last one that it has.
func (s *Subscription) doubt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ref == 0 {
		return
	}
	s.client.subs.forget(s.ref)
	s.ref, s.stale = 0, s.ref
	wake(s.resubscribe)
}

// forget says that the subscription with the ref was not made.
func (s *Subscription) forget(ref uint32) {
	s.client.subs.forget(ref)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ref == ref {
		s.ref = 0
	}
}

// awaitRoom waits until the subscription is not paused, and reports false when it has
// ended.
func (s *Subscription) awaitRoom() bool {
	for {
		s.mu.Lock()
		paused := s.paused
		s.mu.Unlock()
		if !paused {
			return s.over.Err() == nil
		}
		select {
		case <-s.resubscribe:
		case <-s.over.Done():
			return false
		}
	}
}

// leave ends the subscription at the server.
func (s *Subscription) leave(l *link.Link) {
	s.mu.Lock()
	refs := []uint32{s.ref, s.stale}
	s.ref, s.stale = 0, 0
	s.mu.Unlock()
	for _, ref := range refs {
		if ref != 0 {
			s.client.subs.forget(ref)
			l.Answer(protocol.Message{Kind: protocol.Unsubscribe, Ref: ref})
		}
	}
}

// fail ends the subscription. err is why, unless it has ended already.
func (s *Subscription) fail(err error) {
	s.mu.Lock()
	if s.over.Err() == nil {
		s.err = err
	}
	s.mu.Unlock()
	s.end()
}

// forsake ends the subscription as fail does, and drops what has arrived.
func (s *Subscription) forsake(err error) {
	s.fail(err) // nothing arrives any more
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue, s.bytes, s.parts, s.partial = nil, 0, 0, 0
}

// isDoubtful reports whether the server's subscription is to be replaced.
func (s *Subscription) isDoubtful() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stale != 0
}

// sleep waits, and reports false if the subscription ends first.
func (s *Subscription) sleep(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.over.Done():
		return false
	}
}

func wake(slot chan<- struct{}) {
	select {
	case slot <- struct{}{}:
	default:
	}
}
