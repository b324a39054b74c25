package server

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
)

// sessions is the registry of which connections have which session. One lock guards it
// and the sessionSlot of every connection; nothing waits while it is held. Messages about
// sessions are put into the outboxes while it is held, so that clients get them in the
// order of the changes.
type sessions struct {
	server  *Server
	store   *hookedStore // nil: sessions are disabled
	max     int          // connections of one session; zero: no limit
	replace bool         // of more than max connections the oldest loses the session

	mu       sync.Mutex
	live     map[string]*live  // by key
	hashes   map[keyHash]*live // likewise, for other nodes; nil: there are none
	last     uint64            // number of the latest join
	watching bool              // a timer will call noteUse
}

// live is a session that connections have or are about to get, or that is being closed.
type live struct {
	key      string
	conns    map[*Conn]struct{}
	held     int           // places taken: by conns, and by connections about to join
	arriving int           // of held, by connections that move here, and have their place at the node before
	busy     chan struct{} // closed when the attempt to close or update the session is over; nil if there is none
	updates  int           // so far
	dead     bool          // closed or forgotten; it is in no map any more
}

// sessionSlot is the session of a connection.
type sessionSlot struct {
	state   slotState
	made    bool            // if taken, by CreateSession
	session session.Session // if taken; if left, the last one
	stored  *infoHash       // if taken, of the info in the store; nil: that is the session's
	live    *live           // if taken
	number  uint64          // of the join, if taken; see number
}

// infoHash is the SHA-256 of the info of a session.
type infoHash = [sha256.Size]byte

// hasInfo replaces the info of the session by that in the store.
func (s *sessionSlot) hasInfo(info json.RawMessage) { s.session.Info, s.stored = info, nil }

// inStore returns the hash of the info in the store.
func (s *sessionSlot) inStore() infoHash {
	if s.stored != nil {
		return *s.stored
	}
	return sha256.Sum256(s.session.Info)
}

type slotState uint8

const (
	free    slotState = iota
	claimed           // a session is being created or restored
	taken
	left // the connection has ended
)

func (t *sessions) init(s *Server) {
	t.server = s
	t.max = s.opts.MaxSessionConns
	t.replace = s.opts.SessionPolicy == ReplaceOldest
	t.live = make(map[string]*live)
	if s.hasNodes() {
		t.hashes = make(map[keyHash]*live)
	}
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

// made returns the session that was created for the connection, unless its key is key. It
// returns nil if there is none.
func (t *sessions) made(c *Conn, key string) *live {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.session.state == taken && c.session.made && c.session.live.key != key {
		return c.session.live
	}
	return nil
}

// unclaim undoes claim, if join did not follow.
func (t *sessions) unclaim(c *Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.session.state == claimed {
		c.session.state = free
	}
}

// hold takes one of the places of a session. It waits while the session is being closed or
// updated.
func (t *sessions) hold(ctx context.Context, key string, fresh bool) (*live, error) {
	for {
		t.mu.Lock()
		l := t.live[key]
		switch {
		case l == nil:
			l = t.enter(key)
			fallthrough
		case l.busy == nil && !fresh && (t.max <= 0 || t.replace || l.held < t.max):
			l.held++
			t.mu.Unlock()
			return l, nil
		case fresh:
			t.mu.Unlock()
			return nil, errKeyInUse
		case l.busy == nil && t.giveUpPlace(l, true):
			t.mu.Unlock()
			continue
		case l.busy == nil:
			t.mu.Unlock()
			return nil, protocol.ErrSessionFull
		}
		busy := l.busy
		t.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (t *sessions) enter(key string) *live {
	l := &live{key: key, conns: make(map[*Conn]struct{})}
	t.live[key] = l
	if t.hashes != nil {
		t.hashes[session.Hash(key)] = l
	}
	return l
}

// forget removes a session that no connection has any more. The caller holds mu.
func (t *sessions) forget(l *live) {
	l.dead = true
	delete(t.live, l.key)
	if t.hashes != nil {
		delete(t.hashes, session.Hash(l.key))
	}
}

// number returns the number of a join, which no other has: about its time, to 66 µs,
// because those of other nodes are compared with it, and bits of the node. The caller holds mu.
func (t *sessions) number() uint64 {
	const bits = 16
	node := binary.LittleEndian.Uint64(t.server.topics.self[:])
	now := uint64(time.Now().UnixNano())
	t.last = max(t.last+1<<bits, now>>bits<<bits|node>>(64-bits))
	return t.last
}

// release undoes hold, if join did not follow.
func (t *sessions) release(l *live) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.held--
	t.tidy(l)
}

func (t *sessions) tidy(l *live) {
	if l.held == 0 && l.busy == nil && !l.dead {
		t.forget(l)
	}
}

// joining is what join gives to a connection.
type joining struct {
	session session.Session
	stored  *infoHash // see sessionSlot
	msg     []byte    // for the client
	made    bool      // by CreateSession
	instead *live     // the session that the connection has until then; nil: none
	updates int       // of the session when it was loaded
}

// join gives the connection the session whose place it holds, and tells the client. It
// returns errUpdated if the session was updated since it was loaded.
func (t *sessions) join(c *Conn, l *live, j joining) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case l.dead:
		return protocol.ErrSessionNotFound
	case c.session.state == left:
		return ErrConnClosed
	case j.instead != nil && c.session.live != j.instead && c.session.state != free:
		return ErrSessionActive // it was closed meanwhile, and followed by another
	case l.updates != j.updates:
		return errUpdated
	}
	// Once the client has its reply, nothing begins on the connections that it replaces.
	t.makeRoom(l)
	if err := c.link.TrySendEncoded(j.msg); err != nil {
		if errors.Is(err, outbox.ErrFull) {
			c.tooSlow()
		}
		return c.sendError(err)
	}
	if c.session.state == taken {
		t.detach(c)
	}
	c.session = sessionSlot{taken, j.made, j.session, j.stored, l, t.number()}
	l.conns[c] = struct{}{}
	t.watchUse()
	return nil
}

var errUpdated = errors.New("server: session was updated")

// makeRoom ends the oldest connections of a session if another one would be too many for
// ReplaceOldest. The caller holds mu.
func (t *sessions) makeRoom(l *live) {
	for t.replace && t.max > 0 && len(l.conns) >= t.max {
		t.replaceConn(l.oldest())
	}
}

// updates returns the number of updates of a session so far.
func (t *sessions) updates(l *live) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return l.updates
}

// detach removes a connection from its session. The caller holds mu and changes the
// connection's slot.
func (t *sessions) detach(c *Conn) {
	l := c.session.live
	delete(l.conns, c)
	l.held--
	t.tidy(l)
}

// replaceConn takes the session from a connection, which ends. The caller holds mu.
func (t *sessions) replaceConn(c *Conn) {
	t.detach(c)
	c.session = sessionSlot{state: left, session: c.session.session}
	c.replaced()
}

// oldest returns the connection that joined first. The caller holds mu.
func (l *live) oldest() (oldest *Conn) {
	for c := range l.conns {
		if oldest == nil || c.session.number < oldest.session.number {
			oldest = c
		}
	}
	return oldest
}

// replaced ends a connection that lost its session to another one. Its further requests
// are not handled, because they were made under the session.
func (c *Conn) replaced() {
	c.link.Drain()
	c.link.DisconnectLater(transport.StatusReplaced, "the session was taken over by another connection", ErrSessionReplaced)
}

// again answers the request id to restore the session that the connection already has.
func (t *sessions) again(c *Conn, id protocol.ID, key string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.session.state != taken || c.session.session.Key != key {
		return ErrSessionActive
	}
	msg, err := c.sessionMessage(protocol.Reply, id, c.session.session)
	if err != nil {
		return err
	}
	return c.sendError(c.link.TrySendEncoded(msg))
}

// vacate takes the session from a connection that has ended, so that others get its place
// before its last handler has returned. It returns the key of the session that it had.
func (t *sessions) vacate(c *Conn) (key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.vacateLocked(c)
}

// vacateLocked is vacate for callers that hold mu.
func (t *sessions) vacateLocked(c *Conn) (key string) {
	slot := c.session
	if slot.state == taken {
		t.detach(c)
	}
	c.session = sessionSlot{state: left, session: slot.session}
	return slot.session.Key
}

// leave is vacate after the last handler has returned. It also notes the use.
func (t *sessions) leave(c *Conn) {
	if key := t.vacate(c); key != "" {
		tasks.Run(&lastUse{c, key})
	}
}

// close deletes a session and takes it from all connections that have it, whose clients
// are told. If by is not nil it is the session of that connection, key is ignored, and
// nothing happens if by has no session. r is the request of by's client to answer, or nil.
// It returns the key of the session that is closed on this node.
func (t *sessions) close(ctx context.Context, key string, by *Conn, r *sessionRequest) (closed string, err error) {
	t.mu.Lock()
	var l *live
	for {
		if by != nil {
			key = by.session.session.Key
		}
		if key == "" {
			r.confirm()
			t.mu.Unlock()
			return "", nil
		}
		if l = t.live[key]; l == nil || l.busy == nil {
			break
		}
		busy := l.busy
		t.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return "", ctx.Err()
		}
		t.mu.Lock()
		if l.dead && (by == nil || by.session.state == left) { // another call closed it
			t.mu.Unlock()
			return key, nil
		}
	}
	if l == nil {
		l = t.enter(key)
	}
	l.busy = make(chan struct{})
	exists := len(l.conns) > 0
	t.mu.Unlock()

	deleted := false
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		close(l.busy)
		l.busy = nil
		if !deleted {
			t.tidy(l)
			return
		}
		quiet := (*Conn)(nil)
		if r != nil && !manners.Of(by.info.Version).ConfirmClose {
			quiet = by
		}
		t.finish(l, quiet)
		r.confirm()
	}()
	if !exists {
		if has, err := t.store.has(ctx, key); !has {
			return key, err
		}
	}
	if err := t.store.remove(ctx, key); err != nil {
		return "", err
	}
	deleted = true
	t.store.removed(ctx, key)
	return key, nil
}

// undo closes a session whose client does not need it any more.
func (t *sessions) undo(ctx context.Context, key string) {
	ctx, cancel := detached(ctx)
	defer cancel()
	_, err := t.close(ctx, key, nil, nil)
	t.store.report(err)
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
