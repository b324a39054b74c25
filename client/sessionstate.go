package client

import (
	"github.com/webwire-go/webwire/session"
)

// sessionState is what the client knows of its session, guarded by the client's
// mutex. The key is kept while there is no connection, and while the server cannot
// restore the session.
type sessionState struct {
	loaded  bool // Options.Keys was asked, or need not be any more
	key     string
	number  uint64 // changes with the key: the identity of the session
	current session.Session
	active  bool // the connection has the session

	failure   error // why the kept session could not be restored on this connection, nil if it was not refused
	telling   bool  // a call of OnSessionError waits for its turn
	restoring bool  // the client asks for the kept session
	asked     int   // calls of RestoreSession that wait for the server
	held      *held // a session that waits for the outcome of restoring, nil if there is none

	waived    int  // calls of CloseSession that found none: no RestoreSession before them counts
	renounced bool // it was closed while the connection that has it could not be used yet
	closing   int  // calls of CloseSession that wait for the server
	closed    bool // meanwhile the server said that it is closed
}

// The session whose key is kept is restored on every new connection. An answer that it
// cannot be restored now makes the client ask again, with pauses, on the same connection.

// held is a session that the server created while the kept one was being restored, and
// that becomes the client's if that fails.
type held struct {
	session  session.Session
	replaces bool   // also if the kept one cannot be restored only now: it was asked for
	event    *event // for OnSessionCreated, nil if that cannot be called in its place any more
}

// lost records that the connection has ended.
func (s *sessionState) lost() {
	s.active = false
	s.failure = nil
	s.restoring = false
	s.dropHeld()
}

// dropHeld drops the session that waits for the outcome of restoring.
func (s *sessionState) dropHeld() {
	if s.held != nil {
		s.held.event.skip()
		s.held = nil
	}
}

// has reports whether the client has a session as its user sees it: its connection
// has it, or the next one is going to restore it.
func (s *sessionState) has(connected bool) bool {
	return s.active || !connected && s.key != "" && s.current.Key == s.key
}

// reckon publishes the identity of the session after a change. connected says whether
// there is a connection. The caller holds mu.
func (c *Client) reckon(connected bool) {
	identity := uint64(0)
	if c.session.has(connected) {
		identity = c.session.number
	}
	c.identity.Store(identity)
	c.notify()
}

// Session returns the client's session and true, or false if it has none. Without a
// connection it is the session that the next connection restores. While the server cannot
// restore it on the current connection (see Hooks.OnSessionError) there is none.
func (c *Client) Session() (session.Session, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.session.has(c.link.Load() != nil) {
		return session.Session{}, false
	}
	return c.session.current, true
}

// keep makes s the session of the connection and keeps its key. The channel that it
// returns is closed once the key is saved. The caller holds mu.
func (c *Client) keep(s session.Session) (saved <-chan struct{}) {
	saved = c.setKey(s.Key)
	c.restored(s)
	return saved
}

// forget forgets the session, and reports whether there was one. The caller holds mu.
func (c *Client) forget() bool {
	s := &c.session
	if s.key == "" {
		return false
	}
	s.current, s.active, s.failure = session.Session{}, false, nil
	c.setKey("")
	c.reckon(c.link.Load() != nil)
	return true
}

// setKey changes the key and has it saved. The caller holds mu.
func (c *Client) setKey(key string) (saved <-chan struct{}) {
	c.session.loaded = true
	if c.session.key == key {
		return nothingToSave
	}
	c.session.number++
	c.session.failure = nil // which was about another
	old := c.session.key
	c.session.key = key
	return c.saveKey(key, old)
}
