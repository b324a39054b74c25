package server

import (
	"context"
	"errors"

	"github.com/webwire-go/webwire/engine"
)

// questionKind is the first byte of what one node asks another by Bus.Ask.
type questionKind byte

const (
	questionTopic    questionKind = 1 // Topic.Request, see topicrequest.go
	questionSession  questionKind = 2 // operations on a session, see nodesession.go
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
	case questionHandover:
		return t.answerHandover(ctx, from, data)
	}
	return nil, errQuestion
}

// ask asks another node a question of a kind. The error wraps those of Bus.Ask.
func (t *topics) ask(ctx context.Context, to engine.NodeID, kind questionKind, data []byte) ([]byte, error) {
	return t.engine.Bus.Ask(ctx, to, append([]byte{byte(kind)}, data...))
}
