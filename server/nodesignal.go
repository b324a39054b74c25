package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
)

// SignalSession sends a signal to every connection that has the session, on all nodes, as
// [Broadcast] does. It returns the number of connections the signal was queued for, and an
// error that also says if a node did not answer. It asks each node, and waits for the answers,
// at most ten seconds: for signals that are sent often, let connections join a [Topic] of
// their user.
func (s *Server) SignalSession(ctx context.Context, key, name string, p protocol.Payload) (sent int, err error) {
	if session.CheckKey(key) != nil {
		return 0, nil
	}
	return s.signalNodes(ctx, key, name, p)
}

// SignalAll sends a signal to every connection of all nodes, as [Broadcast] does. It returns
// the number of connections the signal was queued for, and an error that also says if a node
// did not answer. It asks each node, and waits for the answers, at most ten seconds.
func (s *Server) SignalAll(ctx context.Context, name string, p protocol.Payload) (sent int, err error) {
	return s.signalNodes(ctx, "", name, p)
}

func (s *Server) signalNodes(ctx context.Context, key, name string, p protocol.Payload) (sent int, err error) {
	data, err := protocol.V3_0.Append(nil, protocol.Message{Kind: protocol.Signal, Name: name, Payload: p})
	if err != nil {
		return 0, err
	}
	var h keyHash // zero: all connections
	if key != "" {
		h = session.Hash(key)
	}
	sent, err = s.signalHere(key, name, p)
	answers, asked := s.topics.askAll(ctx, questionSession, sessionQuestion(opSignal, h, data))
	errs := []error{err, asked}
	for _, answer := range answers {
		n, size := binary.Uvarint(answer.data)
		if size <= 0 {
			errs = append(errs, errAnswer(answer))
			continue
		}
		sent += int(n)
		if text := answer.data[size:]; len(text) > 0 {
			errs = append(errs, fmt.Errorf("server: node %v: %s", answer.node, text))
		}
	}
	return sent, errors.Join(errs...)
}

// signalHere sends a signal to the connections of this node that have the session, or to
// all if key is empty. Nodes are not asked in the same moment. So the node to which a connection
// moves counts it from just before the node before gives it up, rather than after that: a
// signal may arrive twice then, but is not missed by all for as long as the commit takes.
func (s *Server) signalHere(key, name string, p protocol.Payload) (sent int, err error) {
	conns := s.SessionConns(key)
	if key == "" {
		conns = slices.Values(s.snapshot())
	}
	return Broadcast(func(yield func(*Conn) bool) {
		for c := range conns {
			if c.isArriving() || key == "" && !c.getsSignals() {
				continue
			}
			if !yield(c) {
				return
			}
		}
	}, name, p)
}

// getsSignals reports whether the connection is in Server.Conns, or will be once the node before
// has given it up.
func (c *Conn) getsSignals() bool { return (c.admitted.Load() || c.info.Moved) && !c.hasMoved() }

// isArriving reports whether a connection is about to move here, and is still at another node.
func (c *Conn) isArriving() bool { return c.resumption != nil && c.resumption.arriving.Load() }

// isComing reports whether a connection is about to move here, and may still be at another node.
func (c *Conn) isComing() bool { return c.info.Moved && !c.admitted.Load() }

// answerSignal sends a signal of another node. The answer is the number of connections,
// and the text of an error if there is one.
func (t *sessions) answerSignal(h keyHash, data []byte) ([]byte, error) {
	m, err := protocol.V3_0.Parse(data)
	if err != nil || m.Kind != protocol.Signal {
		return nil, errQuestion
	}
	key := ""
	if h != (keyHash{}) {
		l := t.find(h)
		if l == nil {
			return binary.AppendUvarint(nil, 0), nil
		}
		key = l.key
	}
	sent, err := t.server.signalHere(key, m.Name, m.Payload)
	answer := binary.AppendUvarint(nil, uint64(sent))
	if err != nil {
		answer = append(answer, err.Error()...)
	}
	return answer, nil
}

func errAnswer(a answerOf) error {
	return fmt.Errorf("server: malformed answer of node %v", a.node)
}
