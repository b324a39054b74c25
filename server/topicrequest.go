package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
)

// Request sends a request to one member of the topic, on any node, and returns the payload
// of its reply, which belongs to the caller. Members of this node are preferred, and those
// whose connection is not away. Only clients of 3.0 can answer. It waits until ctx ends, or
// 30 seconds if ctx has no deadline. The error is ErrNobody, or one of Conn.Request, or
// wraps one of package engine if another node could not be asked.
func (t Topic) Request(ctx context.Context, name string, p protocol.Payload) (protocol.Payload, error) {
	if err := engine.CheckName(t.name); err != nil {
		return protocol.Payload{}, err
	}
	ts := t.topics
	if c := ts.answerer(t.name); c != nil {
		return c.Request(ctx, name, p)
	}
	if err := ts.ready(ctx); err != nil {
		return protocol.Payload{}, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, askTimeout)
		defer cancel()
	}
	nodes, err := ts.nodesOf(ctx, t.name)
	if err != nil {
		return protocol.Payload{}, err
	}
	q, err := question(ctx, t.name, name, p)
	if err != nil {
		return protocol.Payload{}, err
	}
	rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	for _, node := range nodes {
		answered, err := ts.ask(ctx, node, questionTopic, q)
		switch {
		case errors.Is(err, engine.ErrNoNode):
			continue
		case err != nil:
			return protocol.Payload{}, ts.fault("ask", t.name, err)
		case len(answered) == 0:
			continue // it has no member
		}
		m, err := protocol.V3_0.Parse(answered)
		if err != nil {
			return protocol.Payload{}, fmt.Errorf("server: topic: answer of node %v: %w", node, err)
		}
		if err := m.Err(); err != nil {
			return protocol.Payload{}, &protocol.PeerError{Err: err}
		}
		return m.Payload, nil
	}
	return protocol.Payload{}, ErrNobody
}

// answerer returns a member of this node that can answer a request, nil if there is none.
func (t *topics) answerer(name string) (found *Conn) {
	e := t.find(name)
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	begin := 0
	if len(e.members) > 0 {
		begin = rand.IntN(len(e.members))
	}
	for i := range e.members {
		c := e.members[(begin+i)%len(e.members)].conn
		switch {
		case c.info.Version < protocol.V3_0 || c.link.Cause() != nil:
		case !c.link.IsAway():
			return c
		case found == nil:
			found = c
		}
	}
	return found
}

// nodesOf returns the other nodes that may have members of a topic.
func (t *topics) nodesOf(ctx context.Context, name string) (nodes []engine.NodeID, err error) {
	if t.engine.Roster == nil {
		return nil, nil
	}
	if t.options(name).Presence {
		records, err := t.records(ctx, name)
		for node := range records {
			if node != t.self {
				nodes = append(nodes, node)
			}
		}
		return nodes, err
	}
	for node := range t.engine.Roster.Nodes() {
		if node != t.self {
			nodes = append(nodes, node)
		}
	}
	return nodes, nil
}

// A question of kind questionTopic is the milliseconds left, the length of the topic, the
// topic, and a request of 3.0.
func question(ctx context.Context, topic, name string, p protocol.Payload) ([]byte, error) {
	left := askTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	q := binary.LittleEndian.AppendUint32(nil, uint32(min(max(left.Milliseconds(), 0), 1<<32-1)))
	q = append(q, byte(len(topic))) // at most engine.MaxName
	q = append(q, topic...)
	request, err := protocol.V3_0.Append(nil, protocol.Message{Kind: protocol.Request, Head: link.Meta(ctx), Name: name, Payload: p})
	return append(q, request...), err
}

// answerTopic passes a request of another node to a member of this one. The answer is
// empty if there is none.
func (t *topics) answerTopic(ctx context.Context, data []byte) ([]byte, error) {
	if len(data) < 5 || len(data) < 5+int(data[4]) {
		return nil, errQuestion
	}
	left := time.Duration(binary.LittleEndian.Uint32(data)) * time.Millisecond
	topic, request := string(data[5:5+int(data[4])]), data[5+int(data[4]):]
	m, err := protocol.V3_0.Parse(request)
	if err != nil || m.Kind != protocol.Request {
		return nil, errQuestion
	}
	c := t.answerer(topic)
	if c == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	reply, err := c.Request(link.WithMeta(ctx, m.Head), m.Name, m.Payload)
	out := protocol.Message{Kind: protocol.Reply, Payload: reply}
	var peer *protocol.PeerError
	switch {
	case errors.As(err, &peer):
		out = protocol.V3_0.Failure(protocol.ID{}, peer.Err)
	case errors.Is(err, ErrConnClosed):
		out = protocol.FailureOutcomeUnknown.Failure().Message(protocol.ID{})
	case err != nil:
		out = protocol.V3_0.Failure(protocol.ID{}, err)
	}
	return protocol.V3_0.Append(nil, out)
}
