package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/webwire-go/webwire/session"
)

// A question of kind questionSession is a sessionOp, the hash of the session's key, and
// what the operation needs. The key itself stays on the nodes that have the session.
type sessionOp byte

const (
	opClosed  sessionOp = 1 // it was deleted from the store
	opUpdated sessionOp = 2 // the store has another info
	opSignal  sessionOp = 3 // send a signal to its connections, see nodesignal.go
	opPlaces  sessionOp = 4 // who has it, see nodelimit.go
	opGiveUp  sessionOp = 5 // end a connection that is away
	opReplace sessionOp = 6 // end the oldest connections
)

type keyHash = [32]byte

func sessionQuestion(op sessionOp, h keyHash, rest []byte) []byte {
	q := append([]byte{byte(op)}, h[:]...)
	return append(q, rest...)
}

// answer answers a question of another node about a session.
func (t *sessions) answer(ctx context.Context, data []byte) ([]byte, error) {
	var h keyHash
	if len(data) < 1+len(h) {
		return nil, errQuestion
	}
	op, rest := sessionOp(data[0]), data[1+copy(h[:], data[1:]):]
	if op == opSignal {
		return t.answerSignal(h, rest)
	}
	l := t.find(h)
	switch op {
	case opClosed:
		return nil, t.lose(ctx, l)
	case opUpdated:
		return nil, t.reload(ctx, l)
	case opPlaces:
		return t.places(l).append(nil), nil
	case opGiveUp:
		return t.answerGiveUp(l), nil
	case opReplace:
		return nil, t.answerReplace(l, rest)
	}
	return nil, errQuestion
}

// find returns the session that this node has, nil if it has none.
func (t *sessions) find(h keyHash) *live {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hashes[h]
}

// tellNodes tells the other nodes that the store has deleted or changed a session. A node
// that cannot be reached finds out when it notes the use of the session.
func (t *sessions) tellNodes(ctx context.Context, op sessionOp, key string) {
	if t.hashes == nil {
		return
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	_, _ = t.server.topics.askAll(ctx, questionSession, sessionQuestion(op, session.Hash(key), nil)) // it is logged
}

// closeEverywhere is close on all nodes.
func (t *sessions) closeEverywhere(ctx context.Context, key string, by *Conn, r *sessionRequest) error {
	closed, err := t.close(ctx, key, by, r)
	if closed != "" && err == nil {
		t.tellNodes(ctx, opClosed, closed)
	}
	return err
}

// await waits until nobody closes or updates the session. The caller holds mu, which is
// not held meanwhile.
func (t *sessions) await(ctx context.Context, l *live) error {
	for l.busy != nil {
		busy := l.busy
		t.mu.Unlock()
		var err error
		select {
		case <-busy:
		case <-ctx.Done():
			err = ctx.Err()
		}
		t.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

// lose takes a session that the store does not have any more from its connections, whose
// clients are told. l may be nil.
func (t *sessions) lose(ctx context.Context, l *live) error {
	if l == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.await(ctx, l); err != nil {
		return err
	}
	if !l.dead {
		t.finish(l, nil)
	}
	return nil
}

// finish takes a closed session from all connections that have it, and tells their
// clients, except that of quiet. The caller holds mu.
func (t *sessions) finish(l *live, quiet *Conn) {
	t.forget(l)
	for c := range l.conns {
		c.session = sessionSlot{state: free}
		if c != quiet {
			c.tellClosed()
		}
	}
	clear(l.conns)
}

// canReload reports whether there is a store in which a node finds what another has changed.
func (t *sessions) canReload() bool { return t.store != nil && t.store.store != nil }

// reload reads the info of a session that another node has updated, and tells the clients
// of its connections. Without a store there is nothing to read. l may be nil.
func (t *sessions) reload(ctx context.Context, l *live) error {
	if l == nil || !t.canReload() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.await(ctx, l); err != nil || l.dead {
		return err
	}
	l.busy = make(chan struct{})
	t.mu.Unlock()
	var s session.Session
	err := t.store.run("session store", l.key, func() (err error) {
		s, err = t.store.store.Load(ctx, l.key)
		return err
	})
	t.mu.Lock()
	close(l.busy)
	l.busy = nil
	switch {
	case errors.Is(err, session.ErrNotFound):
		t.finish(l, nil)
		return nil
	case err == nil:
		l.updates++
		for c := range l.conns {
			c.nowHas(s.Info)
		}
	}
	t.tidy(l)
	return err
}

// nowHas gives the connection the info that its session has in the store, and tells the client
// if that is another one. The caller holds mu of the registry.
func (c *Conn) nowHas(info json.RawMessage) {
	same := bytes.Equal(c.session.session.Info, info)
	c.session.hasInfo(info)
	if !same {
		c.tellSession()
	}
}
