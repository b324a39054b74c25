package client

import (
	"context"
	"fmt"
	"sync"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/session"
)

// Hooks are functions that the client calls when something happens. Each may be nil. They
// are called one at a time, in the order in which things happened, on a goroutine of
// their own: a hook may take its time and call any method of the client. Its context
// ends with Close. A panic in a hook is logged.
//
// A slow hook delays the hooks after it, and OnConnected delays requests that wait for
// the connection. While more signals and sessions wait than Options.InboxSize has room
// for, the client reads no further: replies are late, the server is slowed down, and
// the connection stays. It is closed with ErrSlowHooks, and made again, if no hook
// returns for ten times Options.ReadTimeout.
type Hooks struct {
	// OnConnected is called when the client is connected, before the hooks for
	// anything that the server sent on the connection. The client's session, if there
	// is one, is restored, unless OnSessionClosed or OnSessionError was called just
	// before. Requests that waited for the connection are sent after OnConnected has
	// returned, so that it can log in first; if a hook before it takes longer than
	// Options.WriteTimeout they are sent then. Requests made while the client is
	// connected are sent at once.
	OnConnected func(ctx context.Context)

	// OnDisconnected is called when a connection has ended for which OnConnected was
	// called. errors.Is and errors.As find in the reason
	//   - ErrClosed after Close or Shutdown;
	//   - a *transport.CloseError if the server closed the connection;
	//   - os.ErrDeadlineExceeded if the server fell silent or did not read;
	//   - protocol.ErrShutdown if the server said that it shuts down;
	//   - context.DeadlineExceeded if it did not answer a request about the session;
	//   - ErrProtocolViolation, ErrSlowHooks or ErrSessionDoubtful.
	// Any other reason is an error of the network.
	OnDisconnected func(ctx context.Context, reason error)

	// OnAway is called when a connection for which OnConnected was called has lost its
	// socket, and may go on with another one: the status is Resuming. Requests and signals
	// wait. Then either OnBack or OnDisconnected is called.
	OnAway func(ctx context.Context, reason error)

	// OnBack is called when the connection goes on with another socket.
	OnBack func(ctx context.Context)

	// OnGap is called when signals were lost, or may have been: when a connection goes on for
	// which the server could not keep all, and, after OnDisconnected, when a connection that
	// could be resumed has ended while it had no socket, or with signals that the server has
	// not acknowledged. After Close and Shutdown it is called only if signals could not be
	// written. With DisableAutoconnect, servers that resume nothing and versions before 3.0 it
	// is not called for connections that end: signals around their end may be lost.
	OnGap func(ctx context.Context, g Gap)

	// OnConnectError is called for each attempt to connect that failed and will be
	// repeated.
	OnConnectError func(ctx context.Context, err error)

	// OnConnectFailed is called when the client gives up connecting because
	// Options.GiveUp returned true for err. Connect makes the client try again, after
	// the pause that is due.
	OnConnectFailed func(ctx context.Context, err error)

	// OnServerSignal is called with each signal of the server.
	// Nil: Options.Handler is called.
	OnServerSignal SignalHandler

	// OnSessionCreated is called when the server has created a session for the client.
	// It is not called when a session is restored. A session that the server creates
	// while the kept one is being restored is dropped if that succeeds.
	OnSessionCreated func(ctx context.Context, s session.Session)

	// OnSessionUpdated is called when the server has changed the client's session. The
	// key is the same.
	OnSessionUpdated func(ctx context.Context, s session.Session)

	// OnSessionError is called when the kept session cannot be restored now: with
	// protocol.ErrSessionFull, protocol.ErrInternal, a *protocol.Error, or
	// protocol.ErrSessionsDisabled of the server, or with the error of Options.Keys if it
	// cannot load the key. Except after ErrSessionsDisabled the client tries again on the
	// same connection, with pauses between Options.MinBackoff and Options.MaxBackoff, and
	// calls OnSessionError again only for a different error.
	OnSessionError func(ctx context.Context, err error)

	// OnSessionRestored is called when the session is restored after OnSessionError was
	// called on the same connection.
	OnSessionRestored func(ctx context.Context, s session.Session)

	// OnSessionClosed is called when the client's session was closed, by the server
	// or by another client that has it, or turned out to be gone when it was to be
	// restored. It is not called for the client's own CloseSession.
	OnSessionClosed func(ctx context.Context)
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
	c := h.client
	if value != nil {
		value = link.ConcealText(fmt.Sprint(value), c.sessionKey())
	}
	c.log.Panicked(panicked, "webwire: hook panicked", value, stack, "hook", h.name)
}

// later puts the call of a hook into the queue. Such calls are not charged to the inbox:
// they come a few per connection or attempt, and these have pauses between them.
func (c *Client) later(name string, call func()) {
	c.hooks.Put(&hook{c, name, call})
}

// event is a place in the queue of the hooks. What is called there, if anything, is
// decided later, and the first decision counts.
type event struct {
	hook    hook
	cost    int // charged to the inbox
	once    sync.Once
	decided chan struct{}
}

func newEvent(c *Client, cost int) *event {
	return &event{hook: hook{client: c}, cost: cost, decided: make(chan struct{})}
}

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
	defer e.hook.client.inbox.refund(e.cost)
	<-e.decided
	if e.hook.call != nil {
		e.hook.Run()
	}
}

func (e *event) Panicked(value any, stack []byte) { e.hook.Panicked(value, stack) }
