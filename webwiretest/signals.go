package webwiretest

import (
	"context"
	"sync"

	"github.com/webwire-go/webwire/client"
)

// Signals collects the signals of a server. It is a client.Handler whose zero value is ready to
// use; it must not be copied. Its methods may be called concurrently.
//
//	var signals webwiretest.Signals
//	c := network.Client(client.Options{Handler: &signals})
//	...
//	s, err := signals.Next(t.Context())
type Signals struct {
	mu      sync.Mutex
	arrived chan struct{} // closed by the next signal; nil: nobody waits
	signals []*client.Signal
}

// HandleSignal implements client.Handler.
func (s *Signals) HandleSignal(_ context.Context, signal *client.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signals = append(s.signals, signal)
	if s.arrived != nil {
		close(s.arrived)
		s.arrived = nil
	}
}

// Next removes the oldest signal and returns it. It waits for one until ctx ends, and then
// returns the error of ctx.
func (s *Signals) Next(ctx context.Context) (*client.Signal, error) {
	for {
		signal, arrived := s.first()
		if signal != nil {
			return signal, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// first removes the oldest signal, or returns what to wait for.
func (s *Signals) first() (*client.Signal, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.signals) > 0 {
		signal := s.signals[0]
		s.signals = s.signals[1:]
		return signal, nil
	}
	if s.arrived == nil {
		s.arrived = make(chan struct{})
	}
	return nil, s.arrived
}

// Take removes all signals and returns them, the oldest first. It does not wait: in a bubble,
// call synctest.Wait before.
func (s *Signals) Take() []*client.Signal {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.signals
	s.signals = nil
	return all
}

var _ client.Handler = (*Signals)(nil)
