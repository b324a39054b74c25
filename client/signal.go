package client

import (
	"context"

	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
)

// Signal is a signal of the server. Name and payload belong to the handler.
type Signal struct {
	Client  *Client // that received it
	Name    string
	Payload protocol.Payload
	Meta    protocol.Head // trace context and metadata of a server of 3.0, nil before
}

// SignalHandler handles a signal. It is called as a hook is, see Hooks.
type SignalHandler func(ctx context.Context, s *Signal)

// Handler handles what the server sends. A *Mux is one. If it also has the method
// HandleRequest of a *Mux, it handles the requests of servers that speak 3.0; without it
// they are answered with protocol.ErrNoHandler.
type Handler interface {
	HandleSignal(ctx context.Context, s *Signal)
}

// onSignal returns what handles signals, nil if nothing does.
func (o *Options) onSignal() SignalHandler {
	switch {
	case o.Hooks.OnServerSignal != nil:
		return o.Hooks.OnServerSignal
	case o.Handler != nil:
		return o.Handler.HandleSignal
	}
	return nil
}

// signalCall is the call of a SignalHandler, in one allocation for a short signal.
type signalCall struct {
	signal Signal
	cost   int // charged to the inbox
	space  [64]byte
}

func newSignalCall(c *Client, m protocol.Message, cost int) *signalCall {
	s := &signalCall{cost: cost}
	m = m.Clone(s.space[:0])
	s.signal = Signal{Client: c, Name: m.Name, Payload: m.Payload, Meta: m.Head}
	return s
}

func (s *signalCall) Run() {
	c := s.signal.Client
	defer c.inbox.refund(s.cost)
	c.hookTurn.Add(1)
	defer c.hookTurn.Add(1)
	c.onSignal(c.ctx, &s.signal)
}

func (s *signalCall) Panicked(value any, stack []byte) {
	(&hook{client: s.signal.Client, name: "OnServerSignal"}).Panicked(value, stack)
}

var _ tasks.Task = (*signalCall)(nil)
