// Package link is one end of a connection, as server and client share it. A connection
// is symmetric in what it has to do well, which is written once:
//
//   - internal/outbox writes in batches, within a budget;
//   - internal/tasks runs user code, in order or concurrently, behind one panic barrier;
//   - this package does the rest: it reads (read.go), slows down a peer that sends faster
//     than its messages are handled (inbox.go), gives each request exactly one outcome
//     (calls.go), notices a peer that is gone (liveness.go), and drains and ends
//     (link.go, end.go).
//
// Protocol 3.0 adds, in files of their own: how a socket is opened (open.go), what the
// messages of 3.0 do (modern.go), the requests of the peer (incoming.go) and their
// contexts (context.go), metadata (meta.go), giving up own requests (giveup.go), and the items of streamed
// replies that are received (stream.go) and sent (items.go).
//
// The two other packages know nothing of one another or of this one: a [Link] is the
// Owner that each of them asks for (owner.go).
//
// What differs between server and client is their [Role]: which messages each may
// get and what it does about them. A Link does not know who dialled.
package link

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/internal/invariant"
	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// Role is what a Link asks of its side. Its methods are called one at a time by the
// goroutine that reads: while they run nothing else is read.
type Role interface {
	// Receive gets every message that is not a reply to a request in flight. Its
	// payload is valid until it returns.
	Receive(m protocol.Message)

	// Malformed gets what Parse returned for a message that it rejected. In 3.0 it also
	// gets other messages that break the protocol, and ends the connection.
	Malformed(m protocol.Message, err error)

	// Overflow is called when there is no room in the outbox for an answer that cannot
	// wait. It ends the connection without waiting. Only 3.0 needs it.
	Overflow()
}

// Limits may be shared by many links. They must not change once they are used.
type Limits struct {
	OutboxSize   int           // in bytes, of messages that wait to be sent
	WriteTimeout time.Duration // of the connections
	KeepAlive    time.Duration // a peer that was silent for this long is pinged
	WakeCheck    bool          // look whether the system slept, see pulse
	Unanswered   bool          // the peer does not answer pings
	Tasks        tasks.Limits  // its Budget is the size of the inbox, see awaitRoom

	// Survives reports whether a connection that may outlive its socket outlives one that a
	// CloseError of the peer has ended. Nil: it does not.
	Survives func(error) bool
}

// Config is what a Link is made of.
type Config struct {
	Conn       transport.Conn
	Version    protocol.Version
	Heartbeat  bool // also send protocol.Heartbeat when nothing was sent for KeepAlive
	MaxMessage int  // the longest message the peer takes, in bytes; zero: any
	Opening    int  // length in bytes of the message that was read before, for Stats; zero: none was; not for 3.0
	Limits     *Limits
	Role       Role

	// For 3.0:

	Own, Peer Terms           // what this end and the other announced
	First     protocol.Kind   // of the first message; zero: any
	Keeping   *outbox.Keeping // not nil: the connection may outlive its socket, see resume.go
}

// Ender is what a Role may be, too. Ended is called once, when the connection has ended.
// Run waits for it.
type Ender interface{ Ended() }

// Link is one end of a connection. Its methods may be used concurrently.
type Link struct {
	out   outbox.Outbox // also holds the connection
	tasks tasks.Runner

	limits    *Limits
	role      Role
	heartbeat bool // Config.Heartbeat
	desk      desk
	tolerance tolerance // only the reader uses it

	ctx    context.Context // of tasks; ends with the connection
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	state state

	reading    sync.WaitGroup // reading, whichever goroutine does it
	background sync.WaitGroup // goroutines started with enter
	pulse      pulse
	modern     *modern // nil before 3.0

	received, receivedBytes atomic.Uint64
}

// state is what is in flight on the connection besides tasks. It is changed between lock
// and unlock.
type state struct {
	closed  bool             // the connection has ended
	away    bool             // it has no socket
	resumes bool             // it outlives its socket
	parting bool             // somebody closes the connection in good order
	dropped bool             // nothing is held any more
	idle    bool             // no task is left and none is taken any more
	status  transport.Status // with which this end closes the connection; zero: none
	waiting atomic.Int32     // is calls.waiting; may be read without the lock
	own     bool             // this end decided that the connection ends
	without bool             // it ended while it was away
	cause   error            // why the connection is closed, or is about to be
	calls   *calls           // nil before the first request; many servers never send one
	drained chan struct{}    // closed once draining is over; nil before it began
	gone    chan struct{}    // closed once the connection is dropped; nil if nobody waits for that
}

// epoch is what the times of all links are measured from, by now. They are only compared
// with one another: in tests with a clock of their own they may be negative.
var epoch = time.Now()

func now() time.Duration { return time.Since(epoch) }

// Now returns the time since a moment that does not change, which may be negative.
func Now() time.Duration { return now() }

// New returns a Link that does nothing until Run. Tasks get contexts derived from
// ctx.
func New(ctx context.Context, conf Config) *Link {
	l := &Link{limits: conf.Limits, heartbeat: conf.Heartbeat, role: conf.Role}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	l.out.Init(outbox.Config{
		Conn:       conf.Conn,
		Version:    conf.Version,
		Size:       conf.Limits.OutboxSize,
		MaxMessage: conf.MaxMessage,
		Keeping:    conf.Keeping,
	}, (*outboxOwner)(l))
	if conf.Version >= protocol.V3_0 {
		l.modern = newModern(conf)
		l.state.resumes = conf.Keeping != nil
	}
	if conf.Opening > 0 {
		l.countReceived(conf.Opening)
	}
	l.tasks.Init(&conf.Limits.Tasks, (*tasksOwner)(l))
	return l
}

// lock returns what is in flight, to be changed until unlock.
func (l *Link) lock() *state {
	l.mu.Lock()
	return &l.state
}

// unlock finds out whether the change ends the draining.
func (l *Link) unlock() {
	s := &l.state
	if s.calls != nil {
		invariant.Check(s.calls.waiting >= 0, "more requests have an outcome than were sent")
		if n := int32(s.calls.waiting); n != s.waiting.Load() {
			s.waiting.Store(n)
		}
	}
	if x := l.modern; x != nil && x.quiet != nil && s.waiting.Load() == 0 {
		close(x.quiet)
		x.quiet = nil
	}
	if s.drained != nil && s.idle && s.waiting.Load() == 0 {
		select {
		case <-s.drained:
		default:
			close(s.drained)
		}
	}
	l.mu.Unlock()
}

// Context returns the context of the connection, which ends with it.
func (l *Link) Context() context.Context { return l.ctx }

// Version returns the version of the protocol that the connection speaks.
func (l *Link) Version() protocol.Version { return l.out.Version() }

// Run reads until the connection ends and returns why, once every task is over and
// all is released. It is called once; if the connection outlives its socket Run returns
// when the socket ends, IsAway reports true, and Run is called again after Resume.
func (l *Link) Run() error {
	if lost := l.Carry(); lost != nil {
		return lost
	}
	return l.Finish()
}

// Carry is Run for a user that does not wait for tasks: it returns nil if the connection
// has ended.
func (l *Link) Carry() (lost error) {
	l.startPulse()
	l.reading.Add(1)
	l.read(false)
	l.reading.Wait()
	l.stopPulse()
	return l.lostBy()
}

// Finish waits, once the connection has ended, until every task is over and all is
// released, and returns why the connection ended.
func (l *Link) Finish() error {
	l.tasks.Wait()
	return l.Release()
}

// Release is Finish except that tasks may run on.
func (l *Link) Release() error {
	l.background.Wait()
	return l.Cause()
}

// Send adds a message to the outbox and waits for room until ctx ends. That it
// returned nil does not mean that the message was written.
func (l *Link) Send(ctx context.Context, m protocol.Message) error {
	if l.modern != nil {
		l.addMeta(ctx, &m)
	}
	return l.out.Send(ctx, &m)
}

// Reply is Send for the answer of a request's handler. While long answers wait for room no
// handler is started, see tasks.Runner.Hold.
func (l *Link) Reply(m protocol.Message) error {
	if size := len(m.Payload.Data); l.tasks.IsLong(size) {
		l.tasks.Hold(size)
		defer l.tasks.Held(size)
	}
	return l.Send(context.Background(), m)
}

// TrySendEncoded adds a message that is already encoded, without copying it, and never
// blocks. The error is outbox.ErrFull if there is no room.
func (l *Link) TrySendEncoded(msg []byte) error { return l.out.TrySend(msg) }

// TrySendIn is TrySendEncoded as a part of a fan-out.
func (l *Link) TrySendIn(f *outbox.Fanout, msg []byte) error { return f.TrySend(&l.out, msg) }

// TrySendBelow is TrySendIn to an outbox that is full when limit bytes are queued.
func (l *Link) TrySendBelow(f *outbox.Fanout, msg []byte, limit int) error {
	return f.TrySendBelow(&l.out, msg, limit)
}

// WhenRoom calls f when a message of size bytes has room below limit, or all that is queued
// now is written, see outbox.WhenRoom.
func (l *Link) WhenRoom(limit, size int, f func(queued int)) { l.out.WhenRoom(limit, size, f) }

// Go runs t concurrently with others, see tasks.Runner. Only Role's methods call it, and
// Order.
func (l *Link) Go(size int, t tasks.Task) bool { return l.tasks.Go(size, t) }

// Order runs t alone, see tasks.Runner.
func (l *Link) Order(size int, t tasks.Task) bool { return l.tasks.Order(size, t) }

// Charge and Refund charge the inbox for what the connection's user handles by itself,
// see tasks.Runner.
func (l *Link) Charge(bytes int) { l.tasks.Charge(bytes) }

// Refund: see Charge.
func (l *Link) Refund(bytes int) { l.tasks.Refund(bytes) }

// Drop counts a message that is not handled.
func (l *Link) Drop() { l.tasks.Drop() }

// Begin and Took tell how long a task's own work takes, see tasks.Runner.
func (l *Link) Begin() time.Duration { return l.tasks.Begin() }

// Took: see Begin.
func (l *Link) Took(began time.Duration) { l.tasks.Took(began) }
