package client

import (
	"time"

	"github.com/webwire-go/webwire/transport"
)

// use restores the session, while Run reads, opens the connection for use, and goes on
// restoring as long as that may still succeed.
func (s *serving) use() {
	defer s.client.releaseHeld()
	defer s.connected.skip()
	defer s.restored.skip()
	again, err := s.restoreFirst()
	if err != nil {
		s.link.Disconnect(transport.StatusNormalClosure, "", err)
		return
	}
	if s.awaitWelcome() && s.open() && again {
		s.restoreAgain()
	}
}

// open opens the connection for use, and reports whether it did.
func (s *serving) open() bool {
	opened, recovered := s.tryOpen()
	if recovered {
		s.client.logRecovered()
	}
	return opened
}

func (s *serving) tryOpen() (opened, recovered bool) {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status == Closed {
		return false, false // Close drops the connection
	}
	if c.session.renounced { // the server believes that this connection has the session
		s.link.DisconnectLater(transport.StatusNormalClosure, "", errSessionForgotten)
		return false, false
	}
	s.since = time.Now()
	s.began = s.since
	recovered = c.reached()
	c.connects++
	c.reckon(true)
	c.link.Store(s.link)
	c.setStatus(Connected)
	s.restored.skip() // unless there is something to tell
	if why := s.lostBy; why != nil {
		defer s.resuming(why) // after OnConnected
	}
	hook := c.opts.Hooks.OnConnected
	if hook == nil {
		s.connected.skip()
		s.release()
		return true, recovered
	}
	// A hook before OnConnected that does not return must not hold up everybody.
	impatient := time.AfterFunc(c.opts.WriteTimeout, s.releaseLater)
	s.connected.tell("OnConnected", func() {
		impatient.Stop()
		defer s.releaseLater()
		hook(c.ctx)
	})
	return true, recovered
}

// release lets the calls use the connection that waited for it. The caller holds mu.
func (s *serving) release() {
	c := s.client
	if c.link.Load() == s.link {
		c.told = s.link
		c.notify()
	}
}

func (s *serving) releaseLater() {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	s.release()
}
