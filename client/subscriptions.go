package client

import (
	"sync"

	"github.com/webwire-go/webwire/protocol"
)

// subscriptions finds subscriptions by the refs that the client has chosen for them. No ref
// is used twice, on any connection.
type subscriptions struct {
	mu    sync.Mutex
	last  uint32
	byRef map[uint32]*Subscription
}

// add returns a ref for a subscription.
func (t *subscriptions) add(s *Subscription) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byRef == nil {
		t.byRef = make(map[uint32]*Subscription)
	}
	t.last++
	t.byRef[t.last] = s
	return t.last
}

func (t *subscriptions) forget(ref uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byRef, ref)
}

func (t *subscriptions) find(ref uint32) *Subscription {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byRef[ref]
}

// doubt tells all subscriptions that messages were lost, of which nobody knows whose.
func (t *subscriptions) doubt() {
	t.mu.Lock()
	all := make([]*Subscription, 0, len(t.byRef))
	for _, s := range t.byRef {
		all = append(all, s)
	}
	t.mu.Unlock()
	for _, s := range all {
		s.doubt()
	}
}

// subscribed passes a message on to its subscription, if there still is one.
func (s *serving) subscribed(m protocol.Message) {
	to := s.client.subs.find(m.Ref)
	if to == nil {
		s.link.Drop()
		return
	}
	if err := to.receive(s.link, m); err != nil {
		s.violated(err)
	}
}
