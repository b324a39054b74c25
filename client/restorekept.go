package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/logs"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
)

// The session whose key is kept is restored on every new connection. If the server answers
// that it cannot be restored now the client asks again, with pauses, on the same connection,
// and so it does if Options.Keys cannot load the key.

// restoreFirst restores the kept session on a new connection, if there is one. again
// means that it is worth trying again. An error means that the connection is of no use.
func (s *serving) restoreFirst() (again bool, err error) {
	c := s.client
	c.mu.Lock()
	c.session.renounced = false
	c.mu.Unlock()
	if err := s.loadKey(); err != nil {
		return s.settleFirstLoad(err), nil
	}
	c.mu.Lock()
	key, number := c.session.key, c.session.number
	c.session.restoring = key != ""
	c.mu.Unlock()
	if key == "" {
		return false, nil
	}
	err = s.settleFirst(number, s.attempt(key, number, c.opts.DialTimeout))
	if err == nil {
		return false, nil
	}
	again, refused := refusal(err)
	if !refused {
		return false, fmt.Errorf("client: restore session: %w", err)
	}
	c.log.Write(cannotRestore, "webwire: session cannot be restored now", "error", logText(err, key), "retry", again)
	return again, nil
}

// loadKey is Client.loadKey within the time of an attempt to connect.
func (s *serving) loadKey() error {
	ctx, cancel := context.WithTimeout(s.link.Context(), s.client.opts.DialTimeout)
	defer cancel()
	return s.client.loadKey(ctx)
}

// hasEnded reports whether the connection has ended or is about to.
func (s *serving) hasEnded() bool { return s.link.Context().Err() != nil || s.client.ctx.Err() != nil }

// settleFirstLoad records that the kept session cannot be restored now because its key
// cannot be loaded, and reports whether it is worth trying again.
func (s *serving) settleFirstLoad(err error) (again bool) {
	c := s.client
	if s.hasEnded() {
		return false
	}
	again = err != errKeyStorePanicked // which the next connection is early enough for
	c.mu.Lock()
	loaded := c.session.loaded // meanwhile
	if !loaded {
		s.refused(err)
	}
	c.mu.Unlock()
	if !loaded {
		c.log.Write(keysFailed, "webwire: session key cannot be loaded", "error", logs.Text(err), "retry", again)
	}
	return again
}

// refused records why the kept session cannot be restored now. The caller holds mu.
func (s *serving) refused(err error) {
	c := s.client
	c.session.failure = err
	if hook := c.opts.Hooks.OnSessionError; hook != nil {
		s.restored.tell("OnSessionError", func() { hook(c.ctx, err) })
	}
}

// attempt asks the server for the kept session once. number is its identity.
func (s *serving) attempt(key string, number uint64, limit time.Duration) error {
	c := s.client
	m := protocol.Message{Kind: protocol.RestoreSession, Payload: protocol.Text(key)}
	_, err := s.link.Request(context.Background(), m, limit, func(p protocol.Payload) error {
		restored, err := protocol.ParseSession(p.Data)
		if err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.session.number != number {
			return errSessionForgotten // only a new connection makes the server forget it too
		}
		c.restored(restored)
		return nil
	})
	return err
}

// refusal reports whether err is an answer by which the server keeps the connection
// without the session, and whether a later attempt may succeed.
func refusal(err error) (again, refused bool) {
	var app *protocol.Error
	switch {
	case errors.Is(err, protocol.ErrSessionFull), errors.Is(err, protocol.ErrInternal), errors.As(err, &app):
		return true, true
	case errors.Is(err, protocol.ErrSessionsDisabled), errors.Is(err, protocol.ErrTooBig):
		return false, true
	}
	return false, false
}

// settleFirst records the outcome of the first attempt. It returns err unless the
// session was restored or is gone.
func (s *serving) settleFirst(number uint64, err error) error {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	st := &c.session
	st.restoring = false
	_, refused := refusal(err)
	switch {
	case errors.Is(err, protocol.ErrSessionNotFound):
		if st.number == number && c.forget() {
			c.tellClosedAs(s.restored)
		}
		c.adopt()
		return nil
	case refused && st.number != number: // it was given up
		c.adopt()
	case refused:
		s.refused(err)
		if st.held != nil { // its hook cannot wait for the end of the attempts
			st.held.event.skip()
			st.held.event = nil
		}
	}
	return err
}

// restoreAgain tries to restore the kept session until there is nothing more to do: it
// is restored, gone or replaced, or the connection ends.
func (s *serving) restoreAgain() {
	c := s.client
	for tries := 0; ; tries++ {
		key, number, due := s.restoreDue(c.backoff(tries, nil))
		if due && key == "" {
			err := s.loadKey()
			if err == errKeyStorePanicked || err != nil && s.hasEnded() {
				return
			}
			if err != nil {
				c.notLoaded(err)
				continue
			}
			key, number, due = s.restoreDue(0)
		}
		if !due {
			return
		}
		err := s.attempt(key, number, c.opts.Timeout+s.window) // the socket may be lost before the answer comes
		again, fatal := s.settleAgain(number, err)
		if fatal {
			s.link.DisconnectLater(transport.StatusNormalClosure, "", fmt.Errorf("client: restore session: %w", err))
		}
		if !again {
			return
		}
	}
}

// notLoaded records that the key can still not be loaded.
func (c *Client) notLoaded(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.session.loaded && c.session.failure != nil {
		c.sessionError(err)
	}
}

// restoreDue waits for the time of the next attempt, and returns what to restore: no key
// if that has to be loaded. It returns false if there is nothing to restore.
func (s *serving) restoreDue(pause time.Duration) (key string, number uint64, ok bool) {
	c := s.client
	timer := time.NewTimer(pause)
	defer timer.Stop()
	due := false
	for {
		c.mu.Lock()
		st := &c.session
		if st.active || st.key == "" && st.loaded || st.failure == nil {
			c.mu.Unlock()
			return "", 0, false
		}
		// Two at a time count twice at some servers, and one that shuts down refuses them.
		if due && st.asked == 0 && c.leaving.Load() != s.link {
			key, number = st.key, st.number
			st.restoring = key != ""
			c.mu.Unlock()
			return key, number, true
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-timer.C:
			due = true
		case <-changed:
		case <-s.link.Context().Done():
			return "", 0, false
		}
	}
}

// settleAgain records the outcome of a later attempt.
func (s *serving) settleAgain(number uint64, err error) (again, fatal bool) {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.notify()
	st := &c.session
	st.restoring = false
	again, refused := refusal(err)
	var lost *link.LostError
	var unsent *link.UnsentError
	switch {
	case err == nil, errors.As(err, &lost):
		return false, false
	case errors.As(err, &unsent) && !refused: // there is no socket, or the server takes no more requests
		again = true
	case errors.Is(err, protocol.ErrSessionNotFound):
		c.gone(number)
		c.adopt()
		return false, false
	case errors.Is(err, protocol.ErrShutdown):
		c.leaveSoon(s.link)
		again = true // if the connection goes on with another socket
	case !refused:
		return false, true
	}
	if st.number != number || st.held != nil && st.held.replaces {
		c.adopt()
		return false, false
	}
	if refused {
		c.sessionError(err)
	}
	return again, false
}

// restored takes the kept session, which a connection got. The caller holds mu.
func (c *Client) restored(s session.Session) {
	st := &c.session
	st.restoring = false
	if h := st.held; h != nil && h.session.Key == s.Key { // an update that overtook the reply
		s = h.session
	}
	st.current, st.active = s, true
	recovered := st.failure != nil
	st.failure = nil
	st.dropHeld()
	c.reckon(c.link.Load() != nil)
	if hook := c.opts.Hooks.OnSessionRestored; hook != nil && recovered {
		c.later("OnSessionRestored", func() { hook(c.ctx, s) })
	}
}

// gone forgets the kept session of the given identity, which the server does not know.
// The caller holds mu.
func (c *Client) gone(number uint64) {
	if c.session.number == number && c.forget() {
		c.tellClosed()
	}
}

// sessionError tells why the kept session cannot be restored now, unless that was told
// already. The caller holds mu.
func (c *Client) sessionError(err error) {
	st := &c.session
	same := st.failure != nil && st.failure.Error() == err.Error()
	st.failure = err
	hook := c.opts.Hooks.OnSessionError
	if same || hook == nil || st.telling {
		return
	}
	st.telling = true
	c.later("OnSessionError", func() {
		c.mu.Lock()
		st.telling = false
		latest := st.failure
		c.mu.Unlock()
		if latest != nil {
			hook(c.ctx, latest)
		}
	})
}
