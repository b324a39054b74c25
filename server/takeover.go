package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/logs"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
)

const (
	// takeTime is how long a node waits for another to hand over a connection, before the
	// client has to come again.
	takeTime = 4 * time.Second

	// silentTime is how long a node that others take for alive may be silent before it
	// counts as gone.
	silentTime = 10 * time.Second

	// committedTime is how long a node waits to be told whether it has a connection. The
	// other node knows for certain after commitTime.
	committedTime = 3 * commitTime

	// maxHops is how many nodes are asked for a connection that has moved on.
	maxHops = 8
)

// taking is a connection that another node hands over.
type taking struct {
	server *Server
	from   place
	token  uint64
	move   *move
}

// canTakeOver reports whether connections of other nodes can go on here.
func (s *Server) canTakeOver() bool {
	hooks := &s.opts.Hooks
	return s.hasNodes() && s.opts.ResumeWindow > 0 && !s.isClosing() &&
		(hooks.OnClientConnected == nil || hooks.OnClientBack != nil) // else nobody would prepare it
}

// takeOver makes conn the socket of a connection that another node has. It returns what
// resume does.
func (s *Server) takeOver(ctx context.Context, conn transport.Conn, conf link.Config, hello protocol.HelloBody, info Info, at place) (*Conn, protocol.Outcome, error) {
	if !s.canTakeOver() {
		return nil, protocol.OutcomeExpired, nil
	}
	if s.topics.ready(ctx) != nil {
		return nil, protocol.OutcomeUnavailable, nil
	}
	claim := *hello.Resume
	for range maxHops {
		claim.Conn = at.conn
		if at.node == s.topics.self {
			hello.Resume = &claim
			return s.resume(ctx, conn, conf, hello, info)
		}
		t, moved, outcome := s.take(ctx, &claim, at.node)
		if moved != nil {
			at = *moved
			continue
		}
		if t == nil {
			return nil, outcome, nil
		}
		former := hello.Resume.Conn
		hello.Resume = &claim
		return t.begin(ctx, conn, conf, hello, info, former)
	}
	return nil, protocol.OutcomeUnavailable, nil
}

// take asks a node for a connection. It returns nil, where the connection is if it has moved
// on, and else the outcome for the client.
func (s *Server) take(ctx context.Context, claim *protocol.Resume, node engine.NodeID) (t *taking, moved *place, outcome protocol.Outcome) {
	ctx, cancel := context.WithTimeout(ctx, takeTime)
	defer cancel()
	f := handoverQuestion(opTake, claim.Conn)
	f.raw(claim.Secret[:])
	f.u32(claim.Attempt)
	f.u64(claim.Received)
	f.u64(claim.FirstKept)
	data, err := s.topics.ask(ctx, node, questionHandover, f)
	if err != nil {
		return nil, nil, s.silent.outcome(claim.Conn, err, s.knows(node))
	}
	s.silent.forget(claim.Conn)
	answer := formReader{rest: data}
	switch answer.u8() {
	case answerMoved:
		to := answer.place()
		if answer.end() == nil {
			return nil, &to, 0
		}
	case answerNo:
		if outcome := protocol.Outcome(answer.u8()); answer.end() == nil {
			return nil, nil, outcome
		}
	case answerYes:
		t = &taking{server: s, from: place{node, claim.Conn}, token: answer.u64()}
		if size := answer.u64(); !answer.bad {
			t.move, err = t.rest(ctx, size, answer.rest)
			if err == nil {
				return t, nil, 0
			}
			s.log.Write(cannotResume, "webwire: a connection cannot be taken over", "error", logs.Text(err))
			t.release()
		}
	}
	return nil, nil, protocol.OutcomeUnavailable
}

// rest asks for what the answer to take did not contain.
func (t *taking) rest(ctx context.Context, size uint64, data []byte) (*move, error) {
	for uint64(len(data)) < size {
		f := handoverQuestion(opPart, t.from.conn)
		f.u64(t.token)
		f.u64(uint64(len(data)))
		part, err := t.server.topics.ask(ctx, t.from.node, questionHandover, f)
		if err != nil {
			return nil, err
		}
		if len(part) == 0 {
			break
		}
		data = append(data[:len(data):len(data)], part...)
	}
	if uint64(len(data)) != size {
		return nil, errForm
	}
	return decodeMove(data)
}

// release tells the other node to go on with the connection. If it does not learn that it
// does so by itself a little later.
func (t *taking) release() {
	ts := &t.server.topics
	ctx, cancel := context.WithTimeout(ts.ctx, takeTime)
	defer cancel()
	f := handoverQuestion(opRelease, t.from.conn)
	f.u64(t.token)
	_, _ = ts.ask(ctx, t.from.node, questionHandover, f)
}

// commit makes this node the one that has the connection, which has an id of its own here.
// After an error it is not known to be.
func (t *taking) commit(ctx context.Context, id protocol.ConnID) protocol.Outcome {
	ctx, cancel := context.WithTimeout(ctx, committedTime)
	defer cancel()
	f := handoverQuestion(opCommit, t.from.conn)
	f.u64(t.token)
	f.raw(id[:])
	for {
		answer, err := t.server.topics.ask(ctx, t.from.node, questionHandover, f)
		switch {
		case err == nil && len(answer) == 1 && answer[0] == answerYes:
			return protocol.OutcomeResumed
		case err == nil:
			return protocol.OutcomeUnavailable
		case errors.Is(err, engine.ErrNoNode):
			return protocol.OutcomeNodeGone
		case !wait(ctx, askAgain):
			return protocol.OutcomeUnavailable
		}
	}
}

// begin goes on with the connection. It returns what resume does.
func (t *taking) begin(ctx context.Context, conn transport.Conn, conf link.Config, hello protocol.HelloBody, info Info, former protocol.ConnID) (*Conn, protocol.Outcome, error) {
	s, m, claim := t.server, t.move, hello.Resume
	if claim.FirstKept > m.link.Received+1 || !m.link.Outbox.Continues(claim.Received) {
		s.log.Write(cannotResume, "webwire: a connection cannot be resumed", "error", logs.Text(&disagreement{claim, m.link.Received}))
		t.release()
		return nil, protocol.OutcomeExpired, nil
	}
	if s.isFull() {
		t.release()
		_ = conn.Close(transport.StatusTryAgainLater, "too many connections") // the error below says more
		return nil, 0, ErrTooManyConns
	}
	c := t.conn(ctx, conn, conf, info)
	r := c.resumption
	r.secret, r.attempt, r.former = claim.Secret, claim.Attempt, former
	c.take(&r.turn)
	defer c.give(&r.turn)
	s.mu.Lock()  // resumable has taken the socket
	s.reserved++ // add makes it the place of c
	s.mu.Unlock()
	if !s.add(c) {
		s.release()
		_ = conn.Close(transport.StatusGoingAway, "server shutting down") // the error below says more
		c.link.Abort(ErrServerClosed)                                     // releases it from ctx
		t.release()
		return nil, 0, ErrServerClosed
	}
	ours := false
	defer func() { // also if OnClientBack ends this goroutine
		if !ours {
			c.give(&r.socket)
			t.release()
			c.link.Abort(ErrMoved)
			// It was never here: the client, which has no answer yet, may come again at once.
			s.sessions.vacate(c)
			s.unname(c)
			go c.finish() // its hook may take long; until it is removed from Server.conns
		}
	}()
	outcome, err := t.prepare(ctx, c, conn, hello, info)
	if err == nil && outcome == protocol.OutcomeResumed {
		r.arriving.Store(false)
		outcome = t.commit(ctx, r.id)
	}
	if err != nil || outcome != protocol.OutcomeResumed {
		return nil, outcome, err
	}
	ours = true
	c.admit()
	c.rejoin(m.members)
	for _, msg := range m.queued {
		if m, err := protocol.V3_0.Parse(msg); err == nil { // the other node has parsed it
			(*receiver)(c).Receive(m)
		}
	}
	c.callOrigins(t.from)
	if err := c.goOn(conn, claim); err != nil {
		c.log(cannotResume, "webwire: a connection cannot be resumed", "error", err)
		r.ends = link.Now() + s.opts.ResumeWindow
		c.startWindow()
		c.watch()
		c.give(&r.socket)
		return nil, protocol.OutcomeExpired, nil // it has ended meanwhile
	}
	r.unwatch = c.endsWith(ctx)
	return c, protocol.OutcomeResumed, nil
}

// conn returns the connection, which is not registered yet.
func (t *taking) conn(ctx context.Context, conn transport.Conn, conf link.Config, info Info) *Conn {
	s, m := t.server, t.move
	info.Connected, info.Moved = m.connected, true
	if info.UserAgent == "" {
		info.UserAgent = m.userAgent
	}
	c := &Conn{server: s, info: info, negotiated: true, limit: conf.MaxMessage, spoke: m.spoke, fails: int32(m.fails)}
	c.info.Request, c.members.coming = nil, true
	c.members.await(m.members...)
	conf.Conn, conf.Role = link.Nowhere, (*receiver)(c)
	c.resumable(&conf)
	c.resumption.arriving.Store(true)
	c.link = link.New(context.WithValue(ctx, connKey{s}, c), conf)
	c.link.Adopt(m.link, c.elsewhere)
	c.resumption.origins = newOrigins(append(m.origins, originState{
		node: t.from.node, conn: t.from.conn, running: m.running, asked: m.link.Asked,
	}))
	return c
}

// prepare does what has to be done before the other node gives the connection up.
func (t *taking) prepare(ctx context.Context, c *Conn, conn transport.Conn, hello protocol.HelloBody, info Info) (protocol.Outcome, error) {
	if err := t.server.sessions.adopt(ctx, c, t.move); err != nil {
		if errors.Is(err, protocol.ErrSessionFull) {
			return protocol.OutcomeExpired, nil // the client is told when it restores the session
		}
		return protocol.OutcomeUnavailable, nil
	}
	asks := t.server.opts.Hooks.OnClientBack != nil
	if expires := t.move.expires; expires.After(time.Now()) {
		c.ExpiresAt(expires)
	} else if !expires.IsZero() && !asks { // by the clock of this node
		return protocol.OutcomeExpired, nil // nobody would check new credentials
	}
	if err := c.comeBack(conn, hello, info); err != nil {
		return 0, err
	}
	c.resumption.prepared = asks
	return protocol.OutcomeResumed, nil
}

// adopt gives a connection that comes from another node the session that it had there. If
// that was closed or updated meanwhile the client is told. What the store has decides: this node
// learns of an update only once it has the session, and the other one perhaps too late.
func (t *sessions) adopt(ctx context.Context, c *Conn, m *move) error {
	if m.session == nil || t.store == nil {
		return nil
	}
	key := m.session.Key
	l, err := t.hold(ctx, key, false) // it has its place among those of all nodes already
	if err != nil {
		return err
	}
	arriving := func(n int) {
		t.mu.Lock()
		defer t.mu.Unlock()
		l.arriving += n
	}
	arriving(1)
	for {
		updates := t.updates(l)
		now, exists, err := t.store.look(ctx, key)
		if err != nil {
			arriving(-1)
			t.release(l)
			return fmt.Errorf("server: session of a connection of another node: %w", err)
		}
		if t.arrive(c, l, m, now, exists, updates) {
			return nil
		}
	}
}

// arrive is the last step of adopt. now is the session as the store had it when there were that
// many updates, nil if that is not known. It reports false, and does nothing, if there were more
// meanwhile.
func (t *sessions) arrive(c *Conn, l *live, m *move, now *session.Session, exists bool, updates int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.updates != updates {
		return false
	}
	l.arriving--
	if !exists || l.dead {
		l.held--
		t.tidy(l)
		c.tellClosed()
		return true
	}
	t.makeRoom(l)
	s, stored := *m.session, m.stored
	s.Info = bytes.Clone(s.Info) // all of m would be kept for it
	c.session = sessionSlot{taken, m.made, s, &stored, l, m.joined}
	l.conns[c] = struct{}{}
	// If neither holds, the client has what OnSessionLookup has made of that info.
	if now != nil && (sha256.Sum256(now.Info) != stored || bytes.Equal(now.Info, s.Info)) {
		c.nowHas(now.Info)
	}
	t.watchUse()
	return true
}

// silentNodes are connections whose node did not answer lately.
type silentNodes struct {
	mu sync.Mutex
	at map[protocol.ConnID]time.Time // when its node did not answer for the first time
}

const (
	rememberSilent = time.Minute // that a node did not answer
	maxSilent      = 10_000
)

// outcome returns what a client learns whose node could not be asked for the connection: to
// try again, unless the node is gone. One that was silent twice counts as gone if it is not
// known to be alive, or has been silent for silentTime.
func (s *silentNodes) outcome(id protocol.ConnID, err error, alive bool) protocol.Outcome {
	if errors.Is(err, engine.ErrNoNode) {
		s.forget(id)
		return protocol.OutcomeNodeGone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for other, at := range s.at {
		if now.Sub(at) > rememberSilent || len(s.at) > maxSilent {
			delete(s.at, other)
		}
	}
	if first, again := s.at[id]; again {
		if alive && now.Sub(first) < silentTime {
			return protocol.OutcomeUnavailable
		}
		delete(s.at, id)
		return protocol.OutcomeNodeGone
	}
	if s.at == nil {
		s.at = make(map[protocol.ConnID]time.Time)
	}
	s.at[id] = now
	return protocol.OutcomeUnavailable
}

func (s *silentNodes) forget(id protocol.ConnID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.at, id)
}
