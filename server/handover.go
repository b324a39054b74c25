package server

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
)

// A connection of 3.0 that is away can move to another node that shares Options.Engine. Its
// id begins with that of its node. The node to which the client comes back asks that node to
// hand it over, in two steps:
//
//   - take: the node suspends the connection, and answers what there is to know of it;
//   - commit: the node gives the connection up. If no commit comes it goes on having it.
//
// So one node alone decides who has the connection, and nothing is done twice. What a handler
// does that still runs there is passed on (relay.go, origin.go). This file is the side of the
// node that has the connection, takeover.go that of the other one.

const (
	// orderedTime is how long a hand-over waits for the signal handler, or the like, that
	// runs: the next one must not begin at another node before.
	orderedTime = time.Second

	// commitTime is how long a node waits for the commit after it has handed over.
	commitTime = 5 * time.Second

	// handoverPart is how many bytes of a hand-over are in one answer.
	handoverPart = 256 << 10
)

// frozen is a connection that was taken and not committed. resumption.turn guards it.
type frozen struct {
	token   uint64
	data    []byte // what take answers
	next    uint64 // the number of the first message that was not handed over
	queued  []protocol.Message
	members []*membership
	slot    sessionSlot
	updates int // of the session
	timer   *time.Timer
}

// answerTake answers a node whose client claims to be that of a connection.
func (s *Server) answerTake(ctx context.Context, claim *protocol.Resume) []byte {
	no := func(outcome protocol.Outcome) []byte { return []byte{answerNo, byte(outcome)} }
	c, to := s.named(claim.Conn)
	if to == nil && c == nil {
		return no(protocol.OutcomeExpired)
	}
	if to == nil {
		r := c.resumption
		if !c.takeWithin(ctx, &r.turn) {
			return no(protocol.OutcomeUnavailable)
		}
		defer c.give(&r.turn)
		var now *Conn
		if now, to = s.named(claim.Conn); to == nil && now != c {
			return no(protocol.OutcomeUnavailable) // it was about to come here, and did not
		}
	}
	if to != nil {
		f := form{answerMoved}
		to.append(&f)
		return f
	}
	if outcome := c.check(claim); outcome != protocol.OutcomeResumed {
		return no(outcome)
	}
	c.thaw()
	f, outcome := c.freeze(ctx)
	if f == nil {
		return no(outcome)
	}
	answer := form{answerYes}
	answer.u64(f.token)
	answer.u64(uint64(len(f.data)))
	answer.raw(f.data[:min(len(f.data), handoverPart)])
	return answer
}

func (s *Server) answerPart(ctx context.Context, id protocol.ConnID, token, at uint64) ([]byte, error) {
	c, _ := s.named(id)
	if c == nil {
		return nil, errQuestion
	}
	r := c.resumption
	if !c.takeWithin(ctx, &r.turn) {
		return nil, ctx.Err()
	}
	defer c.give(&r.turn)
	f := r.frozen
	if f == nil || f.token != token || at > uint64(len(f.data)) {
		return nil, errQuestion
	}
	rest := f.data[at:]
	return append([]byte(nil), rest[:min(len(rest), handoverPart)]...), nil
}

// answerRelease goes on with a connection that another node does not want after all.
func (s *Server) answerRelease(ctx context.Context, id protocol.ConnID, token uint64) {
	if c, _ := s.named(id); c != nil && c.takeWithin(ctx, &c.resumption.turn) {
		defer c.give(&c.resumption.turn)
		if f := c.resumption.frozen; f != nil && f.token == token {
			c.thaw()
		}
	}
}

// freeze suspends the connection, and returns what another node needs to go on with it, or
// why not. The caller holds resumption.turn.
func (c *Conn) freeze(ctx context.Context) (*frozen, protocol.Outcome) {
	r := c.resumption
	if c.closing.Load() {
		return nil, protocol.OutcomeExpired
	}
	if !c.admitted.Load() {
		return nil, protocol.OutcomeUnavailable
	}
	if !c.link.DropSocket(link.ErrTakenOver) {
		return nil, protocol.OutcomeExpired
	}
	if !c.takeWithin(ctx, &r.socket) { // until OnClientAway has returned
		return nil, protocol.OutcomeUnavailable
	}
	defer c.give(&r.socket)

	f := &frozen{}
	r.frozen = f
	waiting, ordered := c.link.Withdraw()
	for _, task := range waiting {
		f.queued = c.withdraw(f.queued, task)
	}
	timer := time.NewTimer(orderedTime)
	defer timer.Stop()
	calm := false
	select {
	case <-ordered:
		calm = true
	case <-timer.C:
	case <-ctx.Done():
	}
	var known, ok bool
	f.members, known = c.suspendTopics()
	m := &move{
		running: c.link.Running(), members: f.members,
		connected: c.info.Connected, userAgent: c.Info().UserAgent,
		expires: c.expiresAt(), spoke: c.spoke, fails: uint32(c.fails),
	}
	if ok = calm && known && c.moveOrigins(m); ok {
		ok = c.moveSession(m, f)
	}
	if ok {
		m.link, ok = c.link.State()
	}
	if live := f.slot.live; ok && live != nil {
		ok = c.server.sessions.updates(live) == f.updates // else the client may know another info than m has
	}
	if !ok {
		c.thaw()
		return nil, protocol.OutcomeUnavailable
	}
	for _, q := range f.queued {
		msg, err := protocol.V3_0.Append(nil, q)
		if err != nil {
			c.thaw()
			return nil, protocol.OutcomeExpired // it was parsed before
		}
		m.queued = append(m.queued, msg)
	}
	f.next, f.data = m.link.Outbox.Next(), m.encode()
	var token [8]byte
	_, _ = rand.Read(token[:]) // never fails
	f.token = binary.LittleEndian.Uint64(token[:])
	f.timer = time.AfterFunc(commitTime, func() {
		c.take(&r.turn)
		defer c.give(&r.turn)
		if r.frozen == f {
			c.thaw()
		}
	})
	return f, protocol.OutcomeResumed
}

// withdraw appends to all the message that a task is about, unless it is about none any more.
func (c *Conn) withdraw(all []protocol.Message, task tasks.Task) []protocol.Message {
	switch t := task.(type) {
	case *request:
		if t.call.Withdraw(t.Meta) {
			all = append(all, protocol.Message{Kind: protocol.Request, ID: t.call.ID(), Name: t.Name, Head: t.Meta, Payload: t.Payload})
		}
	case *signal:
		all = append(all, protocol.Message{Kind: protocol.Signal, Name: t.Name, Head: t.Meta, Payload: t.Payload})
	case *sessionRequest:
		all = append(all, t.msg)
	case *subscribing:
		_, wanted := c.members.free(t.body.Ref, t.reserved)
		if !t.call.Withdraw(nil) {
			break
		}
		all = append(all, t.body.Message())
		if !wanted { // the client has unsubscribed meanwhile
			all = append(all, protocol.Message{Kind: protocol.Unsubscribe, Ref: t.body.Ref})
		}
	}
	return all
}

// thaw goes on with a connection that was not given up. The caller holds resumption.turn.
func (c *Conn) thaw() {
	r := c.resumption
	f := r.frozen
	if f == nil {
		return
	}
	r.frozen = nil
	if f.timer != nil {
		f.timer.Stop()
	}
	c.stayOrigins()
	c.rejoin(f.members) // a subscribe is refused before
	for _, m := range f.queued {
		(*receiver)(c).Receive(m)
	}
}

// moveSession adds the session to m and f. It reports false if it is about to change.
func (c *Conn) moveSession(m *move, f *frozen) (ok bool) {
	t := &c.server.sessions
	t.mu.Lock()
	defer t.mu.Unlock()
	f.slot = c.session
	switch slot := &f.slot; slot.state {
	case taken:
		s := slot.session
		m.session, m.stored = &s, slot.inStore()
		m.made, m.joined = slot.made, slot.number
		f.updates = slot.live.updates
		return slot.live.busy == nil
	case free:
		return true
	}
	return false
}

// moveOut takes the session from a connection that moves, and ends the watch over its end. It
// reports false, and does neither, if it has another session or none, if its session is about
// to change, or if the connection has ended. If there is a store, another info is no reason: the
// other node has read the store since it has the session, and learns of later updates itself.
func (t *sessions) moveOut(c *Conn, f *frozen) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, now := &f.slot, &c.session
	same := now.state == before.state && now.number == before.number && now.live == before.live &&
		(t.canReload() || string(now.session.Info) == string(before.session.Info)) &&
		(now.live == nil || now.live.busy == nil) // else it is about to change
	if unwatch := c.resumption.unwatch; !same || unwatch == nil || !unwatch() {
		return false
	}
	t.vacateLocked(c)
	return true
}

// answerCommit gives a connection up to another node, and reports whether it did, now or
// before. After an error nobody knows: an earlier question may be in progress.
func (s *Server) answerCommit(ctx context.Context, id protocol.ConnID, token uint64, to place) (bool, error) {
	c, _ := s.named(id)
	if c == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		moved, ok := s.moved.of[id]
		return ok && moved.first == to, nil
	}
	r := c.resumption
	if !c.takeWithin(ctx, &r.turn) {
		return false, ctx.Err()
	}
	defer c.give(&r.turn)
	if relay := r.relay.Load(); relay != nil {
		return relay.first == to, nil
	}
	f := r.frozen
	if f == nil || f.token != token {
		return false, nil
	}
	if !c.moveTo(f, to) {
		c.thaw()
		return false, nil
	}
	return true, nil
}

// moveTo makes the connection one that another node has. The caller holds resumption.turn.
func (c *Conn) moveTo(f *frozen, to place) bool {
	s, r := c.server, c.resumption
	c.take(&r.socket)
	defer c.give(&r.socket)
	if c.members.hasParted() || !s.sessions.moveOut(c, f) {
		return false
	}
	r.window.Stop()
	r.unwatch = nil
	relay := newRelay(c, to)
	s.mu.Lock()
	r.relay.Store(relay)
	s.countAway(c, false)
	s.handedOver.Add(1)
	s.moved.add(r.id, to, s.opts.ResumeWindow)
	if r.former != (protocol.ConnID{}) {
		s.moved.add(r.former, to, s.opts.ResumeWindow)
	}
	s.notify()
	s.mu.Unlock()

	f.timer.Stop()
	r.frozen = nil
	c.closing.Store(true)
	c.neverExpires()
	c.leaveTopics()
	s.seeOff(f.members)
	if err := c.link.Resume(link.Resumption{Conn: relay, Received: f.next - 1}); err != nil {
		c.link.Abort(err)
	}
	// When the handlers that run here have returned the connection ends for this node.
	c.link.Close(0, "", ErrMoved)
	go c.carryMoved(relay) // until it is removed from Server.conns
	return true
}

// carryMoved serves the handlers of a connection that another node has.
func (c *Conn) carryMoved(relay *relay) {
	var watching sync.WaitGroup
	watching.Go(relay.watch)
	_ = c.link.Run() // finish tells the reason
	if c.link.IsAway() {
		c.link.Abort(ErrClientGone)
	}
	_ = relay.Abort()
	watching.Wait()
	_ = c.finish() // OnClientDisconnected gets the reason
}
