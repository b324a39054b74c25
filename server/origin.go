package server

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// maxBack is how many messages of a client wait for the node where they are to go.
const maxBack = 1024

// origins are where handlers of a connection run that has moved here.
type origins struct {
	mu     sync.Mutex
	all    map[place]*origin
	moving bool // the connection is being handed over: nothing is taken
}

// origin is a node that had the connection and runs handlers of it, as the node sees it that
// has the connection now. It is the other end of a relay. The mutex of origins guards what is
// after turn.
type origin struct {
	from place
	turn chan struct{} // held while something is taken from it

	offset  uint64                   // of the stream: up to here all messages were taken
	partial []byte                   // what came after it
	running map[protocol.ID]bool     // true: it was cancelled
	asked   map[protocol.ID]struct{} // requests to the client
	back    [][]byte                 // to be sent there
	sending bool
}

func newOrigin(s originState) *origin {
	o := &origin{
		from: place{s.node, s.conn}, turn: make(chan struct{}, 1), offset: s.offset,
		running: make(map[protocol.ID]bool), asked: make(map[protocol.ID]struct{}),
	}
	for _, id := range s.running {
		o.running[id] = false
	}
	for _, id := range s.asked {
		o.asked[id] = struct{}{}
	}
	return o
}

func newOrigins(states []originState) *origins {
	os := &origins{all: make(map[place]*origin, len(states))}
	for _, s := range states {
		o := newOrigin(s)
		os.all[o.from] = o
	}
	return os
}

// find returns an origin, nil if there is none. moving says that nothing is taken from it now.
func (os *origins) find(from place) (o *origin, moving bool) {
	if os == nil {
		return nil, false
	}
	os.mu.Lock()
	defer os.mu.Unlock()
	return os.all[from], os.moving
}

// answerForward takes what a handler at another node has sent.
func (s *Server) answerForward(ctx context.Context, id protocol.ConnID, from place, at uint64, data []byte) ([]byte, error) {
	c, to := s.named(id)
	switch {
	case to != nil:
		f := form{answerMoved}
		to.append(&f)
		return f, nil
	case c == nil:
		return []byte{answerNo}, nil
	}
	os := c.resumption.origins
	o, _ := os.find(from)
	if o == nil {
		return []byte{answerNo}, nil
	}
	select {
	case o.turn <- struct{}{}:
		defer func() { <-o.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if _, moving := os.find(from); moving {
		return []byte{answerBusy}, nil
	}
	end := o.offset + uint64(len(o.partial))
	if at <= end && at+uint64(len(data)) > end {
		o.partial = append(o.partial, data[end-at:]...)
	}
	if err := c.relayAll(ctx, o); err != nil {
		o.partial = nil // it is asked for again
		if c.link.Cause() != nil {
			return []byte{answerNo}, nil
		}
	}
	f := form{answerYes}
	f.u64(o.offset + uint64(len(o.partial)))
	return f, nil
}

// relayAll sends the messages of an origin that are complete. The caller has its turn.
func (c *Conn) relayAll(ctx context.Context, o *origin) error {
	for len(o.partial) >= 4 {
		n := int(binary.LittleEndian.Uint32(o.partial))
		if len(o.partial)-4 < n {
			break
		}
		m, err := protocol.V3_0.Parse(o.partial[4 : 4+n])
		if err != nil {
			return errForm
		}
		c.resumption.origins.note(o, &m)
		if err := c.link.Relay(ctx, m); err != nil && (ctx.Err() != nil || c.link.Cause() != nil) {
			return err
		}
		o.partial = o.partial[4+n:]
		o.offset += uint64(4 + n)
	}
	return nil
}

// note notes which requests an origin still has to do with, after what it sends.
func (os *origins) note(o *origin, m *protocol.Message) {
	os.mu.Lock()
	defer os.mu.Unlock()
	switch {
	case m.Kind == protocol.Request:
		o.asked[m.ID] = struct{}{}
	case m.Kind.IsReply():
		delete(o.running, m.ID)
	}
}

// elsewhere takes a message of the client about a request that this node does not know, and
// reports whether another node does.
func (c *Conn) elsewhere(m protocol.Message) bool {
	os := c.resumption.origins
	os.mu.Lock()
	defer os.mu.Unlock()
	for _, o := range os.all {
		known, cancelled := false, false
		if m.Kind == protocol.Cancel || m.Kind == protocol.Credit {
			cancelled, known = o.running[m.ID]
		} else {
			_, known = o.asked[m.ID]
			delete(o.asked, m.ID)
		}
		if !known {
			continue
		}
		switch {
		case m.Kind == protocol.Cancel && cancelled, // once is enough
			m.Kind == protocol.Credit && len(o.back) >= maxBack: // a later one says more
			return true
		case m.Kind == protocol.Cancel:
			o.running[m.ID] = true
		}
		if msg, err := protocol.V3_0.Append(nil, m); err == nil {
			o.back = append(o.back, msg)
		}
		if !o.sending {
			o.sending = c.server.topics.work(func() { c.sendBack(o) })
		}
		return true
	}
	return false
}

// sendBack sends an origin what waits for it.
func (c *Conn) sendBack(o *origin) {
	os, t := c.resumption.origins, &c.server.topics
	absent := absence{server: c.server, limit: absentTime}
	for {
		os.mu.Lock()
		if len(o.back) == 0 {
			o.sending = false
			os.mu.Unlock()
			return
		}
		f := handoverQuestion(opBack, o.from.conn)
		f.raw(o.back[0])
		known := os.all[o.from] == o
		os.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.ctx, askNode)
		_, err := t.ask(ctx, o.from.node, questionHandover, f)
		cancel()
		pause, gone := absent.note(o.from.node, err)
		if err != nil && known && !gone && wait(t.ctx, pause) {
			continue
		}
		os.mu.Lock()
		o.back = o.back[1:]
		os.mu.Unlock()
	}
}

// moveOrigins adds the origins to m: they have to do with another node from now on. It
// reports false if one of them is in the middle of something. If the connection stays the
// caller calls stayOrigins.
func (c *Conn) moveOrigins(m *move) bool {
	os := c.resumption.origins
	if os == nil {
		return true
	}
	os.mu.Lock()
	os.moving = true
	all := make([]*origin, 0, len(os.all))
	for _, o := range os.all {
		all = append(all, o)
	}
	os.mu.Unlock()
	limit := time.NewTimer(orderedTime)
	defer limit.Stop()
	for _, o := range all {
		select {
		case o.turn <- struct{}{}:
			<-o.turn // what comes after it sees that the connection moves
		case <-limit.C:
			return false
		}
		os.mu.Lock()
		s := originState{node: o.from.node, conn: o.from.conn, offset: o.offset}
		for id := range o.running {
			s.running = append(s.running, id)
		}
		for id := range o.asked {
			s.asked = append(s.asked, id)
		}
		os.mu.Unlock()
		o.partial = nil
		m.origins = append(m.origins, s)
	}
	return true
}

func (c *Conn) stayOrigins() {
	if os := c.resumption.origins; os != nil {
		os.mu.Lock()
		defer os.mu.Unlock()
		os.moving = false
	}
}

// answerEnd forgets an origin whose last handler has returned.
func (s *Server) answerEnd(id protocol.ConnID, from place) []byte {
	c, to := s.named(id)
	if to != nil {
		f := form{answerMoved}
		to.append(&f)
		return f
	}
	if c != nil && c.resumption.origins != nil {
		os := c.resumption.origins
		os.mu.Lock()
		defer os.mu.Unlock()
		if os.moving {
			return []byte{answerBusy}
		}
		delete(os.all, from)
	}
	return []byte{answerYes}
}

// callOrigins tells the nodes where handlers of the connection run that this node has it now,
// and watches those nodes. The one that it comes from knows.
func (c *Conn) callOrigins(from place) {
	os, t := c.resumption.origins, &c.server.topics
	os.mu.Lock()
	defer os.mu.Unlock()
	for to, o := range os.all {
		if len(o.running) > 0 {
			t.work(func() { c.watchOrigin(o) })
		}
		if to == from {
			continue
		}
		f := handoverQuestion(opFollow, to.conn)
		f.raw(c.resumption.id[:])
		t.work(func() {
			absent := absence{server: c.server, limit: absentTime}
			for c.Context().Err() == nil {
				ctx, cancel := context.WithTimeout(t.ctx, askNode)
				_, err := t.ask(ctx, to.node, questionHandover, f)
				cancel()
				pause, gone := absent.note(to.node, err)
				if err == nil || gone || !wait(t.ctx, pause) {
					return
				}
			}
		})
	}
}

// watchEvery is how often a node is asked whether the handlers still run there that it has of
// a connection of another node, and that node whether it has the connection.
const watchEvery = 2 * time.Second

// watchOrigin answers the requests whose handlers run at a node if that is gone.
func (c *Conn) watchOrigin(o *origin) {
	os, t := c.resumption.origins, &c.server.topics
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	absent := absence{server: c.server, limit: absentOrigin}
	for pause := watchEvery; wait(ctx, pause); {
		os.mu.Lock()
		over := c.hasMoved() || os.all[o.from] != o || len(o.running) == 0
		os.mu.Unlock()
		if over {
			return
		}
		asking, cancel := context.WithTimeout(ctx, askNode)
		answer, err := t.ask(asking, o.from.node, questionHandover, handoverQuestion(opAlive, o.from.conn))
		cancel()
		again, gone := absent.note(o.from.node, err)
		if pause = watchEvery; !absent.since.IsZero() {
			pause = again
		}
		gone = gone || err == nil && len(answer) == 1 && answer[0] == answerNo
		if gone && c.loseOrigin(ctx, o) {
			return
		}
	}
}

// loseOrigin answers what a node would have answered that is gone. It reports false, and does
// nothing, if the connection is being handed over.
func (c *Conn) loseOrigin(ctx context.Context, o *origin) bool {
	os := c.resumption.origins
	os.mu.Lock()
	if os.moving {
		os.mu.Unlock()
		return false
	}
	delete(os.all, o.from)
	os.mu.Unlock()
	o.turn <- struct{}{} // nothing of it is being sent any more
	for id := range o.running {
		// If it cannot be sent the connection has ended.
		_ = c.link.Relay(ctx, protocol.FailureOutcomeUnknown.Failure().Message(id))
	}
	return true
}

// tellOrigins tells the nodes where handlers of the connection run that it has ended.
func (c *Conn) tellOrigins() {
	os, t := c.resumption.origins, &c.server.topics
	os.mu.Lock()
	defer os.mu.Unlock()
	for from := range os.all {
		t.work(func() {
			ctx, cancel := context.WithTimeout(t.ctx, askNode)
			defer cancel()
			// A node that does not learn it finds out when it forwards something, see relay.watch.
			_, _ = t.ask(ctx, from.node, questionHandover, handoverQuestion(opGone, from.conn))
		})
	}
	os.all = nil
}
