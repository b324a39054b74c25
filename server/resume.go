package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

const (
	defaultResumeWindow = 2 * time.Minute

	// maxResumeMemory is how many bytes the server keeps for all clients together in order
	// to send them again, and sets aside.
	maxResumeMemory = 256 << 20
)

// resumption is what a connection of 3.0 needs to outlive its socket.
type resumption struct {
	id protocol.ConnID

	// Guarded by turn and socket, see below:

	secret   protocol.Secret
	previous protocol.Secret // still good, as long as nothing shows that the client has secret
	welcomed uint64          // Stats.Received of the link when secret was sent
	window   *time.Timer     // ends the connection; nil before the first time away
	ends     time.Duration   // when it does, see link.Now
	attempt  uint32          // of the last client that came back

	// unwatch ends the watch over the end of the connection if it is away, else that over
	// the context of the socket; nil: there is none.
	unwatch func() bool

	info    atomic.Pointer[Info] // of the present socket, nil if that is the first
	asking  atomic.Bool          // OnClientBack is running
	running *sync.WaitGroup      // counts the connection until its end; nil: nobody waits for that

	// Of a connection that moves from node to node, see handover.go:

	former  protocol.ConnID       // its id at the node before; zero: it began here
	frozen  *frozen               // guarded by turn; nil: it was not taken
	relay   atomic.Pointer[relay] // nil: this node has it
	origins *origins              // nil: it began here

	arriving atomic.Bool // the node before certainly has it still
	prepared bool        // OnClientBack returned nil when it came here

	// Guarded by server.mu:

	// turn is held by the socket that is about to take the connection over, and socket by
	// the one that carries it, until OnClientAway has returned. They are taken in this
	// order. They are no mutexes because hooks are called while they are held.
	turn, socket bool

	away    bool          // counted in server.away
	changed chan struct{} // closed when turn, socket or Conn.admitted changes; nil if nobody waits for that
}

// resumable makes a connection one that can be resumed. It is not registered yet.
func (c *Conn) resumable(conf *link.Config) {
	c.resumption = &resumption{socket: true}
	id := c.resumption.id[:]
	_, _ = rand.Read(id[copy(id, c.server.topics.self[:]):]) // never fails
	_, _ = rand.Read(c.resumption.secret[:])
	conf.Keeping = &c.server.keeping
}

// survives reports whether a connection outlives the socket that its client closed. After a
// normal closure it does not, nor if the client is a page that is gone.
func survives(err error) bool {
	var closed *transport.CloseError
	if !errors.As(err, &closed) {
		return true
	}
	return closed.Status != transport.StatusNormalClosure && closed.Status != transport.StatusGoingAway
}

// hasMoved reports whether another node has the connection.
func (c *Conn) hasMoved() bool { return c.movedTo() != nil }

// welcome answers the hello of a new connection.
func (c *Conn) welcome(outcome protocol.Outcome) {
	w := protocol.WelcomeBody{Outcome: outcome, From: 1}
	if r := c.resumption; r != nil {
		w.Conn, w.Secret = r.id, r.secret
		w.Window, w.Ring = c.server.opts.ResumeWindow, outbox.RingBytes
	} else {
		c.link.NeverResumes()
	}
	c.link.Urge(w.Message())
}

// comeLater tells a client that nobody knows now whether its connection goes on, and closes
// the socket.
func comeLater(conn transport.Conn) error {
	// A welcome can always be encoded.
	msg, _ := protocol.V3_0.Append(nil, protocol.WelcomeBody{Outcome: protocol.OutcomeUnavailable, From: 1}.Message())
	_ = conn.Write(msg)
	_ = conn.Close(transport.StatusTryAgainLater, "") // the error below says more
	return errComeLater
}

var errComeLater = errors.New("server: the node that has the connection cannot hand it over now")

// resume makes conn the socket of the connection that a client wants to go on with. The
// connection is nil if there is none to go on with; then the outcome says why. After an
// error the socket is closed.
func (s *Server) resume(ctx context.Context, conn transport.Conn, conf link.Config, hello protocol.HelloBody, info Info) (*Conn, protocol.Outcome, error) {
	claim := hello.Resume
	c, to := s.named(claim.Conn)
	for to == nil && c != nil {
		r := c.resumption
		c.take(&r.turn)
		var now *Conn
		if now, to = s.named(claim.Conn); to == nil && now == c {
			defer c.give(&r.turn)
			return c.resume(ctx, conn, hello, info)
		}
		c.give(&r.turn) // it has moved meanwhile, or was not here after all
		c = now
	}
	if to == nil {
		to = &place{engine.NodeID(claim.Conn[:len(engine.NodeID{})]), claim.Conn}
		if to.node == s.topics.self {
			return nil, protocol.OutcomeExpired, nil
		}
	}
	return s.takeOver(ctx, conn, conf, hello, info, *to)
}

// resume is Server.resume for a connection of this node. The caller holds resumption.turn.
func (c *Conn) resume(ctx context.Context, conn transport.Conn, hello protocol.HelloBody, info Info) (*Conn, protocol.Outcome, error) {
	s, r, claim := c.server, c.resumption, hello.Resume
	if outcome := c.check(claim); outcome != protocol.OutcomeResumed {
		return nil, outcome, nil
	}
	c.thaw()
	if !c.link.DropSocket(link.ErrTakenOver) {
		return nil, protocol.OutcomeExpired, nil
	}
	c.take(&r.socket)
	connected := s.opts.Hooks.OnClientBack == nil || c.awaitAdmitted() // OnClientConnected comes first
	if !connected || r.unwatch == nil || !r.unwatch() {
		c.give(&r.socket)
		return nil, protocol.OutcomeExpired, nil // it has ended
	}
	r.window.Stop()
	resumed := false
	defer func() { // also if OnClientBack ends this goroutine
		if !resumed {
			c.startWindow()
			c.watch()
			c.give(&r.socket)
		}
	}()
	if err := c.comeBack(conn, hello, info); err != nil {
		return nil, 0, err
	}
	if err := c.goOn(conn, claim); err != nil {
		var disagree *disagreement
		if errors.As(err, &disagree) {
			c.log(cannotResume, "webwire: a connection cannot be resumed", "error", err)
			c.link.Abort(ErrClientGone)
		}
		return nil, protocol.OutcomeExpired, nil // it has ended, perhaps for that
	}
	resumed = true
	s.setAway(c, false)
	r.unwatch = c.endsWith(ctx)
	return c, protocol.OutcomeResumed, nil
}

// check finds out whether a client may go on with the connection. The caller holds
// resumption.turn.
func (c *Conn) check(claim *protocol.Resume) protocol.Outcome {
	r := c.resumption
	newest, older := r.secret.Equal(claim.Secret), r.previous.Equal(claim.Secret)
	switch {
	case newest:
	case older && r.previous != (protocol.Secret{}) && c.link.Stats().Received == r.welcomed: // the last welcome was lost
	default:
		return protocol.OutcomeExpired
	}
	if claim.Attempt <= r.attempt {
		return protocol.OutcomeTaken
	}
	if c.overdue.Load() && c.server.opts.Hooks.OnClientBack == nil {
		return protocol.OutcomeExpired // nobody would check the new credentials
	}
	r.attempt = claim.Attempt
	return protocol.OutcomeResumed
}

// comeBack calls OnClientBack. After an error conn is closed, and the connection stays
// away.
func (c *Conn) comeBack(conn transport.Conn, hello protocol.HelloBody, info Info) (err error) {
	request := info.Request
	info.Request = nil
	info.Connected, info.Moved = c.info.Connected, c.info.Moved
	hook := c.server.opts.Hooks.OnClientBack
	before := c.resumption.info.Swap(&info)
	if hook == nil {
		return nil
	}
	c.overdue.Store(false)
	c.resumption.asking.Store(true)
	c.hello.Store(request)
	if proof, ok := hello.Head.Credentials(); ok {
		c.proof.Store(&proof)
	}
	err = errBackPanicked
	status, reason := transport.StatusInternalError, ""
	defer func() { // also if the hook ends this goroutine
		c.resumption.asking.Store(false)
		c.forget()
		if err != nil {
			c.resumption.info.Store(before)
			_ = conn.Close(status, reason) // the error below says more
			err = fmt.Errorf("server: OnClientBack refused: %w", err)
		}
	}()
	tasks.Run(&back{c, func() {
		refusal := hook(c.Context(), c)
		if refusal != nil { // its methods may panic too
			status, reason = c.refusal(refusal, "OnClientBack")
		}
		err = refusal
	}})
	return err
}

var errBackPanicked = fmt.Errorf("server: OnClientBack panicked: %w", protocol.ErrInternal)

// disagreement is why a connection cannot be resumed.
type disagreement struct {
	claim    *protocol.Resume
	received uint64
}

func (e *disagreement) Error() string {
	return fmt.Sprintf("server: the client says that it has received %d messages and keeps those from %d on; the server has received %d, and cannot send what follows",
		e.claim.Received, e.claim.FirstKept, e.received)
}

// goOn gives the connection its new socket. Nothing was sent on it yet.
func (c *Conn) goOn(conn transport.Conn, claim *protocol.Resume) error {
	r := c.resumption
	received := c.link.Received()
	if claim.FirstKept > received+1 {
		return &disagreement{claim, received}
	}
	if r.secret.Equal(claim.Secret) {
		r.previous = r.secret
	}
	var fresh protocol.Secret
	_, _ = rand.Read(fresh[:]) // never fails
	r.secret, r.welcomed = fresh, c.link.Stats().Received
	err := c.link.Resume(link.Resumption{
		Conn:     conn,
		Received: claim.Received,
		Opening: func(plan outbox.Replay) protocol.Message {
			outcome := protocol.OutcomeResumed
			if plan.Lost > 0 {
				outcome = protocol.OutcomeGap
			}
			return protocol.WelcomeBody{
				Outcome: outcome, Conn: r.id, Secret: fresh,
				Window: c.server.opts.ResumeWindow, Ring: outbox.RingBytes,
				Received: received, From: plan.From, Late: plan.Late,
			}.Message()
		},
	})
	if errors.Is(err, outbox.ErrCannotResume) {
		return &disagreement{claim, received}
	}
	if err == nil {
		c.server.resumes.Add(1)
		if c.overdue.Load() { // since OnClientBack was called, when there was no socket to close
			c.expired()
		}
	}
	return err
}

// back is the task that calls OnClientBack.
type back struct {
	conn *Conn
	call func()
}

func (t *back) Run() { t.call() }

func (t *back) Panicked(value any, stack []byte) { t.conn.panicked("OnClientBack", value, stack) }
