package client

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
)

// Hooks are functions that the client calls when something happens. Each may be
// nil. They are called one at a time, in the order in which things happened, on a
// goroutine of their own: a hook may take its time and call any method of the
// client. A panic in a hook is logged.
//
// A hook that is slow holds up the next ones, and OnConnected holds up requests that
// waited for the connection. When more signals and sessions wait than
// Options.InboxSize has room for, the client stops reading, replies included; if
// that lasts for Options.WriteTimeout the connection is closed and made anew.
type Hooks struct {
	// OnConnected is called when the client is connected, before the hooks for
	// anything that the server sent on the connection. Its session, if it had one, is
	// restored, unless OnSessionClosed or OnSessionError was called just before.
	// Requests that waited for the connection are sent after OnConnected has
	// returned, so that it can log in first; if a hook before it takes longer than
	// Options.WriteTimeout they are sent then. Requests made while the client is
	// connected are sent at once.
	OnConnected func()

	// OnDisconnected is called when a connection ended that OnConnected told of:
	// with ErrClosed after Close, with a *transport.CloseError if the server
	// closed it, with an error of the network otherwise.
	OnDisconnected func(reason error)

	// OnConnectError is called for each attempt to connect that failed and is going
	// to be repeated.
	OnConnectError func(err error)

	// OnConnectFailed is called when the client gives up connecting, because trying
	// again would not help: the server speaks no common version of the protocol,
	// is not who it claims to be, refuses for good, or closed the connection with a
	// status that is final (see transport.Status). Connect makes the client try
	// again, after the pause that is due.
	OnConnectFailed func(err error)

	// OnServerSignal is called with each signal of the server. The payload belongs
	// to the hook. Nil: signals are dropped, and counted in Stats.
	OnServerSignal func(name string, p protocol.Payload)

	// OnSessionCreated is called when the server created a session for the client.
	// It is not called when a session is restored. A session that the server creates
	// while the kept one is being restored is dropped if that succeeds.
	OnSessionCreated func(s session.Session)

	// OnSessionError is called when the server cannot restore the kept session now:
	// with protocol.ErrSessionFull, protocol.ErrInternal, a *protocol.Error, or
	// protocol.ErrSessionsDisabled. Unless it is the last of these the client asks
	// again on the same connection, with pauses between Options.MinBackoff and
	// Options.MaxBackoff, and calls OnSessionError again only if the error is another.
	OnSessionError func(err error)

	// OnSessionRestored is called when the session was restored after OnSessionError
	// told on the same connection that it could not be.
	OnSessionRestored func(s session.Session)

	// OnSessionClosed is called when the client's session was closed, by the server
	// or another client that has it, or turned out not to exist any more when it
	// was to be restored. It is not called by the client's own CloseSession.
	OnSessionClosed func()
}

// hook is the call of a hook, as a task of the hooks' queue.
type hook struct {
	client *Client
	name   string
	call   func()
}

func (h *hook) Run() {
	h.client.hookTurn.Add(1)
	defer h.client.hookTurn.Add(1)
	h.call()
}

// within is a hook that is called within the call of another.
type within struct{ hook }

func (w *within) Run() { w.call() }

func (h *hook) Panicked(value any, stack []byte) {
	if value == nil {
		value = "runtime.Goexit was called"
	}
	h.client.mu.Lock()
	key := h.client.session.key
	h.client.mu.Unlock()
	h.client.log(slog.LevelError, "webwire: hook panicked", "hook", h.name,
		"panic", link.ConcealText(fmt.Sprint(value), key), "stack", string(stack))
}

// later puts the call of a hook into the queue. There is always room for it: such
// calls come a few per connection or attempt, and these have pauses between them.
func (c *Client) later(name string, call func()) {
	c.hooks.Put(nil, 0, &hook{c, name, call})
}

// event is a place in the queue of the hooks. What is called there, if anything, is
// decided later, and the first decision counts.
type event struct {
	hook    hook
	once    sync.Once
	decided chan struct{}
}

func newEvent(c *Client) *event { return &event{hook: hook{client: c}, decided: make(chan struct{})} }

// tell has the hook called, unless it is nil.
func (e *event) tell(name string, call func()) {
	e.once.Do(func() {
		e.hook.name, e.hook.call = name, call
		close(e.decided)
	})
}

// skip lets the queue go on without a call. It may be called on a nil event.
func (e *event) skip() {
	if e != nil {
		e.tell("", nil)
	}
}

func (e *event) Run() {
	<-e.decided
	if e.hook.call != nil {
		e.hook.Run()
	}
}

func (e *event) Panicked(value any, stack []byte) { e.hook.Panicked(value, stack) }

// signal is the call of OnServerSignal, in one allocation for a short signal.
type signal struct {
	client *Client
	msg    protocol.Message
	space  [64]byte
}

func newSignal(c *Client, m protocol.Message) *signal {
	s := &signal{client: c}
	s.msg = m.Clone(s.space[:0])
	return s
}

func (s *signal) Run() {
	s.client.hookTurn.Add(1)
	defer s.client.hookTurn.Add(1)
	s.client.opts.Hooks.OnServerSignal(s.msg.Name, s.msg.Payload)
}

func (s *signal) Panicked(value any, stack []byte) {
	(&hook{client: s.client, name: "OnServerSignal"}).Panicked(value, stack)
}

var _ tasks.Task = (*signal)(nil)
