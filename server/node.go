package server

import (
	"context"
	"errors"
	"sync"

	"github.com/webwire-go/webwire/engine"
)

// OpenEngine opens Options.Engine. Otherwise that happens when the first connection is
// accepted, or when the engine is first used: call OpenEngine before that to learn of the
// error. An engine that could not be opened cannot be used any more: end the process, and
// start it again. OpenEngine returns nil if the engine is open, and ErrServerClosed after
// Shutdown or Close.
func (s *Server) OpenEngine(ctx context.Context) error { return s.topics.ready(ctx) }

// openSoon opens the engine in the background, if there are other nodes: they ask this one
// about its connections.
func (t *topics) openSoon() {
	if !t.opened.Load() && t.server.hasNodes() {
		_, _ = t.open() // it is logged
	}
}

// hasNodes reports whether there may be other nodes.
func (s *Server) hasNodes() bool {
	return s.opts.Engine.Bus != nil && s.opts.Engine.Roster != nil
}

// nodes returns the number of nodes that are alive.
func (t *topics) nodes() (n int) {
	if t.opened.Load() && t.server.hasNodes() {
		for range t.engine.Roster.Nodes() {
			n++
		}
	}
	return n
}

// questionKind is the first byte of what one node asks another by Bus.Ask.
type questionKind byte

const (
	questionTopic    questionKind = 1 // Topic.Request, see topicrequest.go
	questionSession  questionKind = 2 // about the connections of a session, see nodesession.go
	questionHandover questionKind = 3 // of a connection
)

// errQuestion answers a question that this version does not know, or that is malformed.
var errQuestion = errors.New("server: unknown question of another node")

// Asked implements engine.Inlet. Every kind of question is answered by one function, in a
// file of its own, which gets what follows the first byte.
func (in *inlet) Asked(ctx context.Context, from engine.NodeID, data []byte) ([]byte, error) {
	t := (*topics)(in)
	if len(data) == 0 {
		return nil, errQuestion
	}
	kind, data := questionKind(data[0]), data[1:]
	switch kind {
	case questionTopic:
		return t.answerTopic(ctx, data)
	case questionSession:
		return t.server.sessions.answer(ctx, data)
	case questionHandover:
		return t.answerHandover(ctx, from, data)
	}
	return nil, errQuestion
}

// ask asks another node a question of a kind, for at most engineTimeout if ctx has no deadline:
// the question or its answer may be lost. The error wraps those of Bus.Ask.
func (t *topics) ask(ctx context.Context, to engine.NodeID, kind questionKind, data []byte) ([]byte, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, engineTimeout)
		defer cancel()
	}
	return t.engine.Bus.Ask(ctx, to, append([]byte{byte(kind)}, data...))
}

// answerOf is the answer of a node.
type answerOf struct {
	node engine.NodeID
	data []byte
}

// askAll asks all other nodes at once, for at most engineTimeout. Nodes that are gone are
// left out; err joins the errors of the others that did not answer.
func (t *topics) askAll(ctx context.Context, kind questionKind, data []byte) (answers []answerOf, err error) {
	if !t.server.hasNodes() {
		return nil, nil
	}
	if err := t.ready(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	var mu sync.Mutex
	var errs []error
	var asking sync.WaitGroup
	for node := range t.engine.Roster.Nodes() {
		if node == t.self {
			continue
		}
		asking.Go(func() {
			answer, err := t.ask(ctx, node, kind, data)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				answers = append(answers, answerOf{node, answer})
			case !errors.Is(err, engine.ErrNoNode):
				errs = append(errs, t.fault("ask", "", err))
			}
		})
	}
	asking.Wait()
	return answers, errors.Join(errs...)
}
