package natsengine

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/webwire-go/webwire/engine"
)

// Headers of questions and answers.
const (
	headerFrom   = "Ww-From"   // who asks, in hexadecimal
	headerWithin = "Ww-Within" // how long the answer is wanted, in milliseconds
	headerCancel = "Ww-Cancel" // the reply subject of a question that is over
	headerError  = "Ww-Error"  // the text of an error in place of an answer
)

// maxAsked is how many questions a node answers at once.
const maxAsked = 1024

// questions are those that this node is answering, and those it has asked.
type questions struct {
	node    *node
	arrived chan *nats.Msg
	sub     *nats.Subscription

	mu      sync.Mutex
	open    map[string]context.CancelFunc // being answered, by reply subject
	closed  bool
	running sync.WaitGroup
	waiting map[engine.NodeID]map[*context.CancelCauseFunc]struct{} // asked
}

func newQuestions(n *node) *questions {
	return &questions{
		node: n, arrived: make(chan *nats.Msg, maxAsked),
		open:    make(map[string]context.CancelFunc),
		waiting: make(map[engine.NodeID]map[*context.CancelCauseFunc]struct{}),
	}
}

func (q *questions) run() {
	for {
		select {
		case <-q.node.ctx.Done():
			return
		case m := <-q.arrived:
			q.handle(m)
		}
	}
}

// wait ends what is being answered and waits for it; its answers are still sent. Then
// there is nobody who would answer: whoever asks learns that there is no such node.
func (q *questions) wait() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.running.Wait()
	if q.sub != nil && q.node.nc.IsConnected() {
		q.sub.Unsubscribe()
		q.node.nc.FlushTimeout(time.Second)
	}
}

func (q *questions) handle(m *nats.Msg) {
	if reply := first(m.Header, headerCancel); reply != "" {
		q.mu.Lock()
		defer q.mu.Unlock()
		if cancel := q.open[reply]; cancel != nil {
			cancel()
		}
		return
	}
	var from engine.NodeID
	if id, err := hex.DecodeString(first(m.Header, headerFrom)); err != nil || copy(from[:], id) != len(from) || m.Reply == "" {
		q.node.opts.Logger.Error("natsengine: a question that no node asks", "subject", m.Subject)
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.open) >= maxAsked {
		m.RespondMsg(&nats.Msg{Header: nats.Header{headerError: {"too many questions, or closing"}}})
		return
	}
	ctx, cancel := q.context(m)
	q.open[m.Reply] = cancel
	q.running.Go(func() {
		defer q.done(m.Reply, cancel)
		answer := &nats.Msg{}
		data, err := q.node.inlet.Asked(ctx, from, m.Data)
		if err != nil {
			answer.Header = nats.Header{headerError: {headerText(err.Error())}}
		} else {
			answer.Data = data
		}
		if err := m.RespondMsg(answer); err != nil && q.node.ctx.Err() == nil {
			q.node.opts.Logger.Warn("natsengine: an answer was not sent", "to", from, "error", err)
			m.RespondMsg(&nats.Msg{Header: nats.Header{headerError: {headerText(err.Error())}}})
		}
	})
}

// context returns the context of the answer to a question.
func (q *questions) context(m *nats.Msg) (context.Context, context.CancelFunc) {
	ms, err := strconv.ParseInt(first(m.Header, headerWithin), 10, 64)
	if err != nil {
		return context.WithCancel(q.node.ctx)
	}
	return context.WithTimeout(q.node.ctx, time.Duration(ms)*time.Millisecond)
}

// headerText returns a text as a header can carry it, and not empty.
func headerText(s string) string { return strconv.Quote(s) }

func textOf(header string) string {
	s, err := strconv.Unquote(header)
	if err != nil {
		return header
	}
	return s
}

func (q *questions) done(reply string, cancel context.CancelFunc) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.open, reply)
	cancel()
}

// subscribe subscribes to the questions for this node.
func (q *questions) subscribe(ctx context.Context) error {
	attached, err := q.node.ready(ctx)
	if err != nil {
		return err
	}
	if q.sub, err = q.node.nc.ChanSubscribe(q.node.subjects.inbox(q.node.self), q.arrived); err != nil {
		return err
	}
	q.node.workers.Go(q.run)
	return q.node.flush(ctx, attached)
}

var errNodeDied = errors.New("the node has died")

// died ends the questions to a node that will not answer.
func (q *questions) died(id engine.NodeID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for cancel := range q.waiting[id] {
		(*cancel)(errNodeDied)
	}
}

// expect returns a context that ends when the node is dead. One that is not known to
// be alive has that long to answer.
func (q *questions) expect(ctx context.Context, id engine.NodeID) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() bool { return true }
	if !q.node.members.alive(id) {
		stop = time.AfterFunc(deadAfter, func() { cancel(errNodeDied) }).Stop
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting[id] == nil {
		q.waiting[id] = make(map[*context.CancelCauseFunc]struct{})
	}
	q.waiting[id][&cancel] = struct{}{}
	return ctx, func() {
		stop()
		q.mu.Lock()
		defer q.mu.Unlock()
		if delete(q.waiting[id], &cancel); len(q.waiting[id]) == 0 {
			delete(q.waiting, id)
		}
		cancel(nil)
	}
}

// A node that has just lost its connection is out of reach of NATS until it has another one:
// usually not longer than absent. It is asked again, which delays for as long what is asked of a
// node that has crashed.
const (
	absent      = 400 * time.Millisecond
	absentAgain = 50 * time.Millisecond
)

// Ask implements [engine.Bus].
func (n *node) Ask(ctx context.Context, to engine.NodeID, data []byte) ([]byte, error) {
	began := time.Now()
	for {
		answer, err := n.ask(ctx, to, data)
		if !errors.Is(err, engine.ErrNoNode) || time.Since(began) > absent || !n.members.alive(to) {
			return answer, err
		}
		select {
		case <-time.After(absentAgain):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ask asks once.
func (n *node) ask(ctx context.Context, to engine.NodeID, data []byte) ([]byte, error) {
	attached, err := n.ready(ctx)
	if err != nil {
		return nil, err
	}
	// Not RequestMsg: the subject of the answer names the question when it is over.
	inbox := n.nc.NewRespInbox()
	answers := make(chan *nats.Msg, 1) // that of SubscribeSync takes 512 KiB
	sub, err := n.nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return nil, n.callError("ask", err, engine.ErrAway)
	}
	defer sub.Unsubscribe()
	m := &nats.Msg{Subject: n.subjects.inbox(to), Reply: inbox, Data: data, Header: nats.Header{headerFrom: {n.self.String()}}}
	if deadline, ok := ctx.Deadline(); ok {
		// A little longer: the answering node is to be told, not to answer that it is late.
		m.Header[headerWithin] = []string{strconv.FormatInt((time.Until(deadline) + time.Second).Milliseconds(), 10)}
	}
	call, forget := n.asked.expect(ctx, to)
	defer forget()
	if err := n.nc.PublishMsg(m); err != nil {
		return nil, n.callError("ask", err, engine.ErrAway)
	}
	select {
	case reply := <-answers:
		if first(reply.Header, "Status") == "503" && len(reply.Data) == 0 { // nobody has subscribed to the question
			return nil, fmt.Errorf("%w: %v", engine.ErrNoNode, to)
		}
		if text := first(reply.Header, headerError); text != "" {
			return nil, &engine.AskError{Node: to, Text: textOf(text)}
		}
		return reply.Data, nil
	case <-call.Done():
	case <-attached.Done():
	}
	if attached.Err() == nil {
		n.nc.PublishMsg(&nats.Msg{Subject: m.Subject, Header: nats.Header{headerCancel: {inbox}}})
	}
	if context.Cause(call) == errNodeDied {
		return nil, fmt.Errorf("%w: natsengine: ask: %w", engine.ErrUnconfirmed, errNodeDied)
	}
	return nil, n.failure(ctx, attached, "ask", call.Err(), engine.ErrUnconfirmed)
}
