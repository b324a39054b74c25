// Package link is what both ends of a connection share. A connection is symmetric
// in what it has to do well, which is written here once:
//
//   - write in batches, within a budget (outbox);
//   - match replies to requests, and give each request exactly one outcome (calls);
//   - run user code in order or concurrently, behind one panic barrier (Queue, tasks),
//     with as few hand-overs between goroutines as it allows (quick, Watch);
//   - notice a peer that is gone (liveness);
//   - drain and end (Link).
//
// What differs between server and client is their [Role]: which messages each may
// get and what it does about them. A Link does not know who dialled.
package link

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// Role is what a Link asks of its end's side. Its methods are called one at a time
// by the goroutine that reads and must not block longer than they may hold up that.
type Role interface {
	// Receive gets every message that is not a reply to a request in flight. Its
	// payload is valid until it returns.
	Receive(m protocol.Message)

	// Malformed gets what Parse returned for a message that it rejected.
	Malformed(m protocol.Message, err error)
}

// Config is what a Link is made of. The last five fields are optional.
type Config struct {
	Conn         transport.Conn
	Version      protocol.Version
	Heartbeat    bool          // send protocol.Heartbeat too when nothing was sent for KeepAlive
	OutboxSize   int           // in bytes
	InboxSize    int           // in bytes, of messages that are not yet handled, see inbox
	Concurrency  int           // of Go
	WriteTimeout time.Duration // of Conn
	KeepAlive    time.Duration // a peer that was silent for so long is pinged
	MaxMessage   int           // the longest message the peer takes, in bytes; zero: any
	WakeCheck    bool          // look whether the system slept, see pulse
	Watch        *Watch        // shared with other links; nil: one of its own
	Ended        func()        // called once when the connection has ended; Run waits for it
}

// Link is one end of a connection. Its methods may be used concurrently.
type Link struct {
	conf   Config
	peeker transport.Peeker // conf.Conn, nil if it is none
	role   Role
	epoch  time.Time

	desk    desk
	turn    atomic.Uint64 // of readers; odd while the reader is away
	seen    uint64        // turn when the Watch looked last; guarded by the Watch
	watched atomic.Bool   // by conf.Watch
	active  atomic.Int32  // requests and tasks in flight; a hint for the outbox
	quick   quickness

	out outbox
	in  Queue // of what has to wait for its turn; without a budget of its own, see inbox

	ctx    context.Context // of tasks; ends with the connection
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	state state

	reading    sync.WaitGroup // reading, whoever does it
	working    sync.WaitGroup // the workers and readers
	worker     func()         // is work: to start a method as a goroutine allocates each time
	flusher    func()         // is flushAll, likewise
	background sync.WaitGroup // the goroutines of goOwned
	pulse      pulse

	full                             atomic.Bool  // the budget of the inbox may be exceeded
	heard                            atomic.Int64 // when something was read last, nanoseconds since epoch
	received, receivedBytes, dropped atomic.Uint64
}

// state is what is in flight on the connection. It is changed between lock and unlock.
type state struct {
	phase   phase
	parting bool  // somebody closes the connection in good order
	cut     bool  // this side dropped the connection: tasks of Order need not run
	dropped bool  // nothing is held any more
	cause   error // why the phase is closed, or is about to be
	tasks   int   // waiting or running
	inbox   inbox
	calls   calls
	workers workers
	drained chan struct{} // closed once draining is over; nil before it began
	gone    chan struct{} // closed once the connection is dropped; nil if nobody waits for that
}

type phase uint8

const (
	open     phase = iota
	draining       // no new tasks
	closed         // nothing new
)

// New returns a Link that does nothing until Run. Tasks get contexts derived from
// ctx.
func New(ctx context.Context, conf Config) *Link {
	l := &Link{conf: conf, epoch: time.Now()}
	l.peeker, _ = transport.As[transport.Peeker](conf.Conn)
	if l.conf.Watch == nil {
		l.conf.Watch = new(Watch)
	}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	l.worker, l.flusher = l.work, l.flushAll
	l.quick.init()
	l.out = outbox{conf: &l.conf, owner: l, epoch: l.epoch}
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
	if n := int32(s.tasks + s.calls.waiting); n != l.active.Load() {
		l.active.Store(n)
	}
	if s.drained != nil && s.tasks == 0 && s.calls.waiting == 0 {
		select {
		case <-s.drained:
		default:
			close(s.drained)
		}
	}
	l.mu.Unlock()
}

// crowded is a hint whether others are about to send something.
func (l *Link) crowded() bool { return l.active.Load() > 1 }

// Context returns the context of the connection, which ends with it.
func (l *Link) Context() context.Context { return l.ctx }

// Run reads until the connection ends and returns why, once every task is over and
// all is released. It is called once.
func (l *Link) Run(role Role) error {
	l.role = role
	l.startPulse()
	l.reading.Add(1)
	l.read(false)
	l.reading.Wait()
	l.stopPulse()
	l.in.Wait()
	l.working.Wait()
	l.background.Wait()
	return l.Cause()
}

// Send adds a message to the outbox and waits for room within ctx. That it
// returned nil does not mean that the message was written.
func (l *Link) Send(ctx context.Context, m protocol.Message) error { return l.send(ctx, &m, nil) }

func (l *Link) send(ctx context.Context, m *protocol.Message, at *place) error {
	// What is hopeless need not wait for room. With its header a message has its
	// exact size only once it is encoded.
	if err := checkSize(len(m.Name)+len(m.Payload.Data), l.conf.MaxMessage); err != nil {
		return err
	}
	flush, err := l.out.add(ctx, m, at)
	if flush {
		l.flush(ctx.Done() == nil)
	}
	return err
}

// flush writes on this goroutine if the caller is patient: if the time limits of a few
// writes are all that bounds it. Others must not be held up.
func (l *Link) flush(patient bool) {
	if patient && l.out.flush(maxRounds) {
		return
	}
	l.flushElsewhere()
}

func (l *Link) flushElsewhere() {
	if l.own() {
		go l.flusher()
	}
}

// flushAll is what flusher runs.
func (l *Link) flushAll() {
	defer l.background.Done()
	for !l.out.flush(maxRounds) {
	}
}

// TrySendEncoded adds a message that is already encoded, without copying it, and
// waits for nothing. The error is ErrOutboxFull if there is no room.
func (l *Link) TrySendEncoded(msg []byte) error {
	if err := checkSize(len(msg), l.conf.MaxMessage); err != nil {
		return err
	}
	flush, err := l.out.addEncoded(dontWait, msg)
	if flush {
		l.flush(false)
	}
	return err
}

func checkSize(size, limit int) error {
	if limit > 0 && size > limit {
		return fmt.Errorf("%w: %d bytes instead of at most %d", protocol.ErrTooBig, size, limit)
	}
	return nil
}

// goOwned runs f on a goroutine that Run waits for, unless the connection has
// ended: there is nothing left to do then.
func (l *Link) goOwned(f func()) {
	if l.own() {
		go func() {
			defer l.background.Done()
			f()
		}()
	}
}

// own makes Run wait for background.Done, unless the connection has ended.
func (l *Link) own() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state.phase == closed {
		return false
	}
	l.background.Add(1)
	return true
}

// Drain refuses new tasks from now on. The channel that it returns is closed once
// no task is waiting or running and no request is in flight.
func (l *Link) Drain() <-chan struct{} {
	s := l.lock()
	defer l.unlock()
	if s.phase == open {
		s.phase = draining
	}
	if s.drained == nil {
		s.drained = make(chan struct{})
	}
	return s.drained
}

// Close drains the connection, flushes the outbox and closes the connection with
// the given status. It does not wait for any of that.
func (l *Link) Close(status transport.Status, reason string, cause error) {
	drained := l.Drain()
	l.goOwned(func() {
		select {
		case <-drained:
			l.Flush(l.ctx)
			l.Disconnect(status, reason, cause)
		case <-l.ctx.Done():
		}
	})
}

// Flush waits until everything in the outbox is written, or never will be, or ctx
// ends.
func (l *Link) Flush(ctx context.Context) {
	select {
	case <-l.out.empty():
	case <-ctx.Done():
	}
}

// Disconnect ends the connection with a close status. cause becomes that of Run.
// It returns once the connection is closed, within the close timeout. If the
// connection is ending already it only waits for that.
func (l *Link) Disconnect(status transport.Status, reason string, cause error) {
	l.let() // for Disconnect may be called by the reader, and waits
	s := l.lock()
	first := s.part(cause)
	gone := s.awaitGone()
	l.unlock()
	if first {
		l.part(status, reason)
	}
	<-gone
}

// DisconnectLater is Disconnect for callers that must not wait.
func (l *Link) DisconnectLater(status transport.Status, reason string, cause error) {
	s := l.lock()
	defer l.unlock()
	if s.part(cause) {
		l.background.Go(func() { l.part(status, reason) })
	}
}

// part closes the connection for the caller whom state.part chose: a second close
// would not wait for the first, and the drop after it would cut that short.
func (l *Link) part(status transport.Status, reason string) {
	// Its error is of no interest: the connection is over either way.
	_ = l.conf.Conn.Close(status, reason)
	l.end(nil) // there is a cause
	l.drop()
}

// part reports whether the caller is the one to close the connection.
func (s *state) part(cause error) bool {
	if s.phase == closed || s.parting {
		return false
	}
	s.parting = true
	s.cause = cause
	return true
}

// Abort drops the connection at once, and what waits for its handler.
func (l *Link) Abort(cause error) {
	l.lock().cut = true
	l.unlock()
	l.end(cause)
	l.drop()
}

// Cause returns why the connection ended or is about to, nil before.
func (l *Link) Cause() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.cause
}

// end decides what is in flight, and drops the connection unless somebody is about
// to close it in good order: then what failed may well have failed for that. Tasks
// go on; their context ends.
func (l *Link) end(cause error) {
	if ended, parting := l.endOpen(cause); ended {
		l.failAll(l.Cause())
		if !parting {
			l.drop()
		}
	}
}

// endRead is end for the reader. Somebody else may be writing: how much of that was
// sent is known once the dropped connection has released the write.
func (l *Link) endRead(cause error) {
	ended, parting := l.endOpen(cause)
	if !ended {
		return
	}
	if !parting {
		l.drop()
		l.out.settle(settleTime)
	}
	l.failAll(l.Cause())
}

// settleTime bounds the wait for a write whose connection was dropped. Transports
// release it at once.
const settleTime = 100 * time.Millisecond

// endOpen makes the link closed and reports whether it was not before, and whether
// somebody is about to close the connection.
func (l *Link) endOpen(cause error) (ended, parting bool) {
	s := l.lock()
	if s.phase == closed {
		l.unlock()
		return false, false
	}
	s.phase = closed
	if s.cause == nil {
		s.cause = cause
	}
	cause = s.cause
	parting = s.parting
	if l.conf.Ended != nil {
		l.background.Go(l.conf.Ended)
	}
	l.unlock()
	l.out.fail(cause)
	l.cancel(cause)
	return true, parting
}

// drop releases what the connection holds.
func (l *Link) drop() {
	_ = l.conf.Conn.Abort() // nothing can be done about an error
	s := l.lock()
	defer l.unlock()
	if !s.dropped && s.gone != nil {
		close(s.gone)
	}
	s.dropped = true
}

// awaitGone returns a channel that is closed once the connection is dropped.
func (s *state) awaitGone() <-chan struct{} {
	if s.gone == nil {
		s.gone = make(chan struct{})
		if s.dropped {
			close(s.gone)
		}
	}
	return s.gone
}
