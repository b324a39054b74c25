package server

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

const (
	// forwardPart is how many bytes are forwarded with one question.
	forwardPart = 256 << 10

	// askNode is how long a node waits for the answer of another one before it asks again.
	askNode = 5 * time.Second

	// absentTime is how long a node that has something to do with a connection may be out of
	// reach before it counts as gone: it may be about to connect to the engine again, and another
	// node may be about to tell that the connection has moved from there. It is longer than
	// watchOrigin takes, from one question to the next and then for absentOrigin: that answers
	// the requests of a node that is gone, and what waits for the node may be dropped only then.
	absentTime   = 8 * time.Second
	absentOrigin = 3500 * time.Millisecond

	// askAgain is the pause between two attempts to reach a node, and askAbsent that if there
	// is no such node.
	askAgain  = 20 * time.Millisecond
	askAbsent = 200 * time.Millisecond
)

// absence is for how long a node that is asked again and again has been out of reach.
type absence struct {
	server *Server
	limit  time.Duration // after which the node counts as gone
	since  time.Time     // zero: it is not out of reach
}

// note notes the outcome of a question to a node. It returns the pause before the next one, and
// whether the node counts as gone. One that does not answer is out of reach if it is not known to
// be alive: its machine may have vanished, of which an engine may hear much later.
func (a *absence) note(node engine.NodeID, err error) (pause time.Duration, gone bool) {
	silent := errors.Is(err, engine.ErrUnconfirmed) || errors.Is(err, context.DeadlineExceeded)
	if !errors.Is(err, engine.ErrNoNode) && (!silent || a.server.knows(node)) {
		a.since = time.Time{}
		return askAgain, false
	}
	if a.since.IsZero() {
		a.since = time.Now()
	}
	return askAbsent, time.Since(a.since) >= a.limit
}

// relay is the socket of a connection that another node has. What handlers send that still
// run here goes to that node, as a stream of messages with their lengths in front: the
// position in the stream tells what was forwarded already. What the client sends to them
// comes back. Only what is counted, and cancels, are forwarded: the rest is about the socket.
// So is not what was to tell the client of its session: that goes with the connection, and
// the other node tells of it what is newer.
type relay struct {
	conn  *Conn
	first place // to which it moved first

	ctx    context.Context // ends with the relay
	cancel context.CancelFunc

	mu     sync.Mutex
	to     place
	back   [][]byte // that have come
	more   chan struct{}
	offset uint64 // forwarded and confirmed; used by Write, of which there is one at a time
}

func newRelay(c *Conn, to place) *relay {
	r := &relay{conn: c, first: to, to: to, more: make(chan struct{}, 1)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// place returns where the connection is.
func (r *relay) place() place {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.to
}

func (r *relay) follow(to place) {
	r.mu.Lock()
	r.to = to
	r.mu.Unlock()
	s, id := r.conn.server, r.conn.resumption
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved.follow(id.id, to)
	s.moved.follow(id.former, to)
}

// Write implements transport.Conn. It returns when the other node has confirmed everything.
func (r *relay) Write(msgs ...[]byte) error {
	var stream []byte
	for _, msg := range msgs {
		if m, err := protocol.V3_0.Parse(msg); err != nil || !forwards(m.Kind) {
			continue
		}
		stream = binary.LittleEndian.AppendUint32(stream, uint32(len(msg)))
		stream = append(stream, msg...)
	}
	base := r.offset
	for r.offset < base+uint64(len(stream)) {
		at, err := r.forward(r.offset, stream[r.offset-base:])
		if err != nil {
			return err
		}
		if at < base || at > base+uint64(len(stream)) {
			return errForm
		}
		r.offset = at
	}
	return nil
}

// forwards reports whether messages of this kind are forwarded.
func forwards(k protocol.Kind) bool {
	switch k {
	case protocol.SessionCreated, protocol.SessionClosed:
		return false
	case protocol.Cancel:
		return true
	}
	return protocol.V3_0.Counted(k)
}

// forward forwards the beginning of rest, which is at a position in the stream, and returns
// the position up to which the other node has everything.
func (r *relay) forward(at uint64, rest []byte) (uint64, error) {
	absent := absence{server: r.conn.server, limit: absentTime}
	for {
		to := r.place()
		f := handoverQuestion(opForward, to.conn)
		f.raw(r.conn.resumption.id[:])
		f.u64(at)
		f.raw(rest[:min(len(rest), forwardPart)])
		ctx, cancel := context.WithTimeout(r.ctx, askNode)
		data, err := r.conn.server.topics.ask(ctx, to.node, questionHandover, f)
		cancel()
		answer := formReader{rest: data}
		pause, gone := absent.note(to.node, err)
		switch kind := answer.u8(); {
		case r.ctx.Err() != nil:
			return 0, net.ErrClosed
		case gone, errors.Is(err, engine.ErrClosed):
			return 0, err
		case err != nil: // nobody knows whether it was forwarded
		case kind == answerYes:
			at := answer.u64()
			return at, answer.end()
		case kind == answerMoved:
			to := answer.place()
			if err := answer.end(); err != nil {
				return 0, err
			}
			r.follow(to)
			continue
		case kind == answerNo:
			return 0, errGoneThere
		}
		if !wait(r.ctx, pause) {
			return 0, net.ErrClosed
		}
	}
}

// watch ends the connection when it has ended at the other node, or that is gone. A handler that
// only waits would not find out.
func (r *relay) watch() {
	for wait(r.ctx, watchEvery) {
		// That node has all of nothing.
		if _, err := r.forward(0, nil); err != nil && r.ctx.Err() == nil {
			r.conn.link.Abort(ErrClientGone)
		}
	}
}

var errGoneThere = errors.New("server: the connection has ended at the node to which it moved")

// Read implements transport.Conn: it returns what the client has sent.
func (r *relay) Read([]byte) ([]byte, error) {
	for {
		r.mu.Lock()
		if len(r.back) > 0 {
			msg := r.back[0]
			r.back = r.back[1:]
			r.mu.Unlock()
			return msg, nil
		}
		r.mu.Unlock()
		select {
		case <-r.more:
		case <-r.ctx.Done():
			return nil, net.ErrClosed
		}
	}
}

// push adds a message for Read.
func (r *relay) push(msg []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.back = append(r.back, append([]byte(nil), msg...))
	select {
	case r.more <- struct{}{}:
	default:
	}
}

// Close tells the other node that nothing follows.
func (r *relay) Close(transport.Status, string) error {
	if r.ctx.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.ctx, askNode)
	defer cancel()
	for ctx.Err() == nil {
		to := r.place()
		f := handoverQuestion(opEnd, to.conn)
		f.raw(r.conn.resumption.id[:])
		data, err := r.conn.server.topics.ask(ctx, to.node, questionHandover, f)
		answer := formReader{rest: data}
		switch kind := answer.u8(); {
		case errors.Is(err, engine.ErrNoNode), errors.Is(err, engine.ErrClosed):
			return r.Abort()
		case err != nil:
		case kind == answerYes:
			return r.Abort()
		case kind == answerMoved:
			r.follow(answer.place())
			continue
		}
		wait(ctx, askAgain)
	} // the other node forgets the relay with the connection at the latest
	return r.Abort()
}

// Abort implements transport.Conn.
func (r *relay) Abort() error {
	r.cancel()
	return nil
}

func (r *relay) Ping() error          { return nil } // see watch
func (r *relay) Protocol() string     { return "" }
func (r *relay) LocalAddr() net.Addr  { return unknownAddr{} }
func (r *relay) RemoteAddr() net.Addr { return unknownAddr{} }

var _ transport.Conn = (*relay)(nil)

// answerBack passes on what the client of a connection that moved has sent to a handler here.
func (s *Server) answerBack(id protocol.ConnID, msg []byte) error {
	s.mu.Lock()
	c := s.resumable[id]
	s.mu.Unlock()
	if c != nil {
		if relay := c.resumption.relay.Load(); relay != nil {
			relay.push(msg)
		}
	}
	return nil // else nobody waits for it any more
}

// call has a method of the connection be called where it is, and does not wait.
func (r *relay) call(op handoverOp, args form) {
	t := &r.conn.server.topics
	t.work(func() {
		ctx, cancel := context.WithTimeout(t.ctx, askNode)
		defer cancel()
		absent := absence{server: t.server, limit: absentTime}
		for {
			to := r.place()
			data, err := t.ask(ctx, to.node, questionHandover, append(handoverQuestion(op, to.conn), args...))
			answer := formReader{rest: data}
			pause, gone := absent.note(to.node, err)
			switch kind := answer.u8(); {
			case gone:
				return
			case err != nil:
			case kind == answerMoved:
				r.follow(answer.place())
				continue
			case kind != answerBusy:
				return
			}
			if !wait(ctx, pause) {
				return
			}
		}
	})
}

// answerCall calls a method of a connection that is here.
func (s *Server) answerCall(id protocol.ConnID, method func(*Conn)) []byte {
	c, to := s.named(id)
	switch {
	case to != nil:
		f := form{answerMoved}
		to.append(&f)
		return f
	case c == nil:
		return []byte{answerNo}
	}
	method(c)
	return []byte{answerYes}
}

// movedTo returns the relay to the node that has the connection, nil if it is this one.
func (c *Conn) movedTo() *relay {
	if c.resumption == nil {
		return nil
	}
	return c.resumption.relay.Load()
}

// answerFollow notes that another node has a connection that moved.
func (s *Server) answerFollow(id protocol.ConnID, to place) {
	s.mu.Lock()
	c := s.resumable[id]
	s.mu.Unlock()
	if c != nil {
		if relay := c.resumption.relay.Load(); relay != nil {
			relay.follow(to)
		}
	}
}

// answerGone ends what is left here of a connection that has ended elsewhere.
func (s *Server) answerGone(id protocol.ConnID) {
	s.mu.Lock()
	c := s.resumable[id]
	s.mu.Unlock()
	if c != nil && c.resumption.relay.Load() != nil {
		c.link.Abort(ErrClientGone)
	}
}
