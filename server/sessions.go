package server

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
)

// sessions knows which connections have which session. Everything in it, and the
// sessionSlot of every connection, is guarded by one lock, under which nobody
// waits: what clients are told about a session is put into their outboxes under
// it too, so that they learn of every change in the order in which it happened.
type sessions struct {
	server  *Server
	store   *hookedStore // nil: sessions are disabled
	max     int          // connections of one session; zero: any number
	replace bool         // the oldest of more than max

	mu       sync.Mutex
	live     map[string]*live // by key
	joins    uint64           // so far
	watching bool             // noteUse is going to be called
}

// live is a session that connections have or are about to get, or that is being
// closed.
type live struct {
	key     string
	conns   map[*Conn]struct{}
	held    int           // places taken: by conns, and by those about to join them
	closing chan struct{} // closed when the attempt to close the session is over; nil if there is none
	dead    bool          // closed for good; it is in no map any more
}

// sessionSlot is a connection's place for a session.
type sessionSlot struct {
	state   slotState
	session session.Session // if taken; if left, the last one
	live    *live           // if taken
	number  uint64          // of the join, if taken
	made    bool            // by CreateSession, if taken
}

type slotState uint8

const (
	free    slotState = iota
	claimed           // a session is being created or restored
	taken
	left // the connection is gone
)

func (t *sessions) init(s *Server) {
	t.server = s
	t.max = s.opts.MaxSessionConns
	t.replace = s.opts.SessionPolicy == ReplaceOldest
	t.live = make(map[string]*live)
	if !s.opts.DisableSessions {
		t.store = &hookedStore{hooks: &s.opts.Hooks, store: s.opts.Sessions, log: &s.log}
	}
}

// claim reserves the connection's slot.
func (t *sessions) claim(c *Conn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch c.session.state {
	case free:
		c.session.state = claimed
		return nil
	case left:
		return ErrConnClosed
	}
	return ErrSessionActive
}

// made returns the session that was created for the connection, unless it has that of
// key, or nil.
func (t *sessions) made(c *Conn, key string) *live {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.session.state == taken && c.session.made && c.session.live.key != key {
		return c.session.live
	}
	return nil
}

// unclaim gives the slot back. Only who claimed it and did not join may do that.
func (t *sessions) unclaim(c *Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.session.state == claimed {
		c.session.state = free
	}
}

// hold takes one of the places of a session. It waits for somebody who is just
// closing the session.
func (t *sessions) hold(ctx context.Context, key string, fresh bool) (*live, error) {
	for {
		t.mu.Lock()
		l := t.live[key]
		switch {
		case l == nil:
			l = t.enter(key)
			fallthrough
		case l.closing == nil && !fresh && (t.max <= 0 || t.replace || l.held < t.max):
			l.held++
			t.mu.Unlock()
			return l, nil
		case fresh:
			t.mu.Unlock()
			return nil, errKeyInUse
		case l.closing == nil:
			t.mu.Unlock()
			return nil, protocol.ErrSessionFull
		}
		closing := l.closing
		t.mu.Unlock()
		select {
		case <-closing:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (t *sessions) enter(key string) *live {
	l := &live{key: key, conns: make(map[*Conn]struct{})}
	t.live[key] = l
	return l
}

// release gives a place back that nobody joined.
func (t *sessions) release(l *live) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.held--
	t.tidy(l)
}

func (t *sessions) tidy(l *live) {
	if l.held == 0 && l.closing == nil && !l.dead {
		l.dead = true
		delete(t.live, l.key)
	}
}

// join gives the connection the session whose place it holds, and tells the client
// with the message that tell is. If instead is not nil it is the session that the
// connection has until then.
func (t *sessions) join(c *Conn, l *live, s session.Session, tell protocol.Message, instead *live) error {
	msg, err := c.info.Version.Append(nil, tell)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case l.dead:
		return protocol.ErrSessionNotFound
	case c.session.state == left:
		return ErrConnClosed
	case instead != nil && c.session.live != instead && c.session.state != free:
		return ErrSessionActive // it was closed meanwhile, and followed by another
	}
	if c.limit > 0 && len(msg) > c.limit {
		return fmt.Errorf("server: session of %d bytes, this client takes messages of at most %d: %w", len(msg), c.limit, protocol.ErrTooBig)
	}
	// Once the client has its reply, nothing begins on the connections that it replaces.
	for t.replace && t.max > 0 && len(l.conns) >= t.max {
		oldest := l.oldest()
		t.detach(oldest)
		oldest.session = sessionSlot{state: left, session: oldest.session.session}
		oldest.replaced()
	}
	if err := c.link.TrySendEncoded(msg); err != nil {
		return c.sendError(err) // c is about to end
	}
	if c.session.state == taken {
		t.detach(c)
	}
	t.joins++
	c.session = sessionSlot{taken, s, l, t.joins, tell.Kind == protocol.SessionCreated}
	l.conns[c] = struct{}{}
	t.watchUse()
	return nil
}

// detach removes a connection from the session that it has. The caller holds mu and
// changes the connection's slot.
func (t *sessions) detach(c *Conn) {
	l := c.session.live
	delete(l.conns, c)
	l.held--
	t.tidy(l)
}

// oldest returns the connection that joined before all others. The caller holds mu.
func (l *live) oldest() (oldest *Conn) {
	for c := range l.conns {
		if oldest == nil || c.session.number < oldest.session.number {
			oldest = c
		}
	}
	return oldest
}

// replaced ends a connection that lost its session to another one. It handles no
// further requests: they were made under the session.
func (c *Conn) replaced() {
	c.link.Drain()
	c.link.DisconnectLater(transport.StatusReplaced, "the session was taken over by another connection", ErrSessionReplaced)
}

// again answers the request id to restore the session that the connection has.
func (t *sessions) again(c *Conn, id protocol.ID, key string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.session.state != taken || c.session.session.Key != key {
		return ErrSessionActive
	}
	object, err := c.sessionObject(c.session.session)
	if err != nil {
		return err
	}
	msg, err := c.info.Version.Append(nil, protocol.Message{Kind: protocol.Reply, ID: id, Payload: object})
	if err != nil {
		return err
	}
	return c.sendError(c.link.TrySendEncoded(msg))
}

// vacate takes the session from a connection that has ended: others need not wait
// for its place until the last of its handlers returns. It returns the key of the
// session that the connection had.
func (t *sessions) vacate(c *Conn) (key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := c.session
	if slot.state == taken {
		t.detach(c)
	}
	c.session = sessionSlot{state: left, session: slot.session}
	return slot.session.Key
}

// leave is vacate for a connection that is gone. It has the use noted.
func (t *sessions) leave(c *Conn) {
	if key := t.vacate(c); key != "" {
		tasks.Run(&lastUse{c, key})
	}
}

// close deletes a session and takes it from all connections that have it, which
// are told. If by is not nil it is the session of that connection, and key does
// not matter; if by has none nothing happens. r is the request of by's client that
// is answered with it, nil if there is none.
func (t *sessions) close(ctx context.Context, key string, by *Conn, r *sessionRequest) error {
	t.mu.Lock()
	var l *live
	for {
		if by != nil {
			key = by.session.session.Key
		}
		if key == "" {
			r.confirm()
			t.mu.Unlock()
			return nil
		}
		if l = t.live[key]; l == nil || l.closing == nil {
			break
		}
		closing := l.closing
		t.mu.Unlock()
		select {
		case <-closing:
		case <-ctx.Done():
			return ctx.Err()
		}
		t.mu.Lock()
		if l.dead && (by == nil || by.session.state == left) { // somebody else closed it
			t.mu.Unlock()
			return nil
		}
	}
	if l == nil {
		l = t.enter(key)
	}
	l.closing = make(chan struct{})
	exists := len(l.conns) > 0
	t.mu.Unlock()

	deleted := false
	defer func() { // also if a hook ends this goroutine
		t.mu.Lock()
		defer t.mu.Unlock()
		close(l.closing)
		l.closing = nil
		if !deleted {
			t.tidy(l)
			return
		}
		l.dead = true
		delete(t.live, key)
		for c := range l.conns {
			c.session = sessionSlot{state: free}
			if c != by || r == nil || manners.Of(c.info.Version).ConfirmClose {
				c.tellClosed()
			}
		}
		clear(l.conns)
		r.confirm()
	}()
	if !exists {
		if has, err := t.store.has(ctx, key); !has {
			return err
		}
	}
	if err := t.store.remove(ctx, key); err != nil {
		return err
	}
	deleted = true
	t.store.removed(ctx, key)
	return nil
}

// undo closes a session that was created and that its client was not told of.
func (t *sessions) undo(ctx context.Context, key string) {
	ctx, cancel := detached(ctx)
	defer cancel()
	t.store.report(t.close(ctx, key, nil, nil))
}

// tellClosed tells the client that its session is closed.
func (c *Conn) tellClosed() {
	// A SessionClosed can always be composed.
	msg, _ := c.info.Version.Append(nil, protocol.Message{Kind: protocol.SessionClosed})
	c.tell(msg)
}

// tell sends what the client has to learn, without waiting.
func (c *Conn) tell(msg []byte) {
	if err := c.link.TrySendEncoded(msg); errors.Is(err, outbox.ErrFull) {
		c.tooSlow()
	}
}

// CloseSession deletes a session and takes it from every connection that has it;
// their clients are told. Closing a session that does not exist does nothing.
// After an error of the store the session stays as it was.
func (s *Server) CloseSession(ctx context.Context, key string) error {
	if s.sessions.store == nil {
		return protocol.ErrSessionsDisabled
	}
	if session.CheckKey(key) != nil {
		return nil
	}
	return s.sessions.close(ctx, key, nil, nil)
}

// SessionConns returns the connections that have a session at the moment at which
// the iteration begins.
func (s *Server) SessionConns(key string) iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		t := &s.sessions
		t.mu.Lock()
		var conns []*Conn
		if l := t.live[key]; l != nil {
			for c := range l.conns {
				conns = append(conns, c)
			}
		}
		t.mu.Unlock()
		for _, c := range conns {
			if !yield(c) {
				return
			}
		}
	}
}

// count returns the number of sessions that connections have.
func (t *sessions) count() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.live {
		if len(l.conns) > 0 {
			n++
		}
	}
	return n
}

var errKeyInUse = errors.New("server: OnSessionKeyGeneration returned the key of a session that exists")
