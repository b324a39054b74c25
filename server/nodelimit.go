package server

import (
	"cmp"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
)

// How often, and after which pause, a place is tried again that a connection of another
// node is about to take or to leave.
const (
	placeAttempts = 5
	placePause    = 50 * time.Millisecond
)

// places is who has a session on a node.
type places struct {
	pending int      // connections that are about to have it
	away    int      // of joined, have no socket, and are certainly here
	joined  []uint64 // numbers of the joins
}

// places returns who has a session on this node. l may be nil.
func (t *sessions) places(l *live) (p places) {
	if l == nil {
		return p
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p.pending = l.held - len(l.conns) - l.arriving
	for c := range l.conns {
		p.joined = append(p.joined, c.session.number)
		if c.link.IsAway() && !c.isComing() {
			p.away++
		}
	}
	return p
}

func (p places) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(p.pending))
	b = binary.AppendUvarint(b, uint64(p.away))
	for _, number := range p.joined {
		b = binary.LittleEndian.AppendUint64(b, number)
	}
	return b
}

func parsePlaces(b []byte) (p places, ok bool) {
	for _, n := range []*int{&p.pending, &p.away} {
		v, size := binary.Uvarint(b)
		if size <= 0 || v > 1<<31 {
			return p, false
		}
		*n, b = int(v), b[size:]
	}
	for ; len(b) >= 8; b = b[8:] {
		p.joined = append(p.joined, binary.LittleEndian.Uint64(b))
	}
	return p, len(b) == 0
}

// elsewhere returns who has a session on other nodes. Nodes that do not answer are left out:
// a limit is not worth an outage.
func (t *sessions) elsewhere(ctx context.Context, l *live) map[engine.NodeID]places {
	answers, _ := t.server.topics.askAll(ctx, questionSession, sessionQuestion(opPlaces, session.Hash(l.key), nil)) // it is logged
	all := make(map[engine.NodeID]places, len(answers))
	for _, answer := range answers {
		if p, ok := parsePlaces(answer.data); ok {
			all[answer.node] = p
		}
	}
	return all
}

// holdPlace is hold for a session that connections of other nodes may have too.
func (t *sessions) holdPlace(ctx context.Context, key string) (*live, error) {
	for attempt := 1; ; attempt++ {
		l, err := t.hold(ctx, key, false)
		if err != nil || t.max <= 0 || t.replace || t.hashes == nil {
			return l, err
		}
		full, again := t.isFull(ctx, l)
		if !full {
			return l, nil
		}
		// Two connections that are about to take the last place must not both wait for
		// the other.
		t.release(l)
		if !again || attempt == placeAttempts || !wait(ctx, rand.N(placePause)) {
			return nil, protocol.ErrSessionFull
		}
	}
}

// isFull reports whether more than max connections of all nodes have the session or are about to,
// and whether that may change soon. If so it has a place given up that a connection of another node
// without a socket has.
func (t *sessions) isFull(ctx context.Context, l *live) (full, again bool) {
	others := t.elsewhere(ctx, l)
	counted := make(map[uint64]struct{}) // one that moves has its place on two nodes for a moment
	t.mu.Lock()
	n := l.held - l.arriving
	for c := range l.conns {
		counted[c.session.number] = struct{}{}
	}
	t.mu.Unlock()
	for _, p := range others {
		n += p.pending
		again = again || p.pending > 0
		for _, number := range p.joined {
			if _, ok := counted[number]; !ok {
				counted[number] = struct{}{}
				n++
			}
		}
	}
	if n <= t.max {
		return false, false
	}
	for node, p := range others {
		if p.away == 0 {
			continue
		}
		answer, err := t.server.topics.ask(ctx, node, questionSession, sessionQuestion(opGiveUp, session.Hash(l.key), nil))
		if err == nil && string(answer) == gaveUp {
			return n-1 > t.max, true
		}
	}
	return true, again
}

const gaveUp = "y"

// answerGiveUp ends a connection that is away and has the session. It is not one that moves here:
// that has its place at the node before, and would go on there. l may be nil.
func (t *sessions) answerGiveUp(l *live) []byte {
	if l == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.giveUpPlace(l, false) {
		return nil
	}
	return []byte(gaveUp)
}

// joinedAt is when a connection joined a session, and on which node.
type joinedAt struct {
	number uint64
	node   engine.NodeID
}

func (a joinedAt) compare(b joinedAt) int {
	return cmp.Or(cmp.Compare(a.number, b.number), slices.Compare(a.node[:], b.node[:]))
}

// replaceElsewhere ends the oldest connections that have the session, on all nodes, so that
// there are at most max with more that are about to have it. It reports whether connections
// of other nodes are about to have it too.
func (t *sessions) replaceElsewhere(ctx context.Context, l *live, more int) (pending bool) {
	if t.max <= 0 || !t.replace || t.hashes == nil {
		return false
	}
	others := t.elsewhere(ctx, l)
	others[t.server.topics.self] = t.places(l)
	var all []joinedAt
	conns := make(map[uint64]struct{}) // one that moves is on two nodes for a moment
	for node, p := range others {
		pending = pending || p.pending > 0 && node != t.server.topics.self
		for _, number := range p.joined {
			all = append(all, joinedAt{number, node})
			conns[number] = struct{}{}
		}
	}
	over := min(len(conns)+more-t.max, len(conns))
	slices.SortFunc(all, joinedAt.compare)
	for i, victim := range all {
		if i == 0 || victim.number != all[i-1].number {
			over--
		}
		if over < 0 {
			break
		}
		if victim.node == t.server.topics.self {
			t.replaceJoin(l, victim.number)
			continue
		}
		q := binary.LittleEndian.AppendUint64(nil, victim.number)
		_, err := t.server.topics.ask(ctx, victim.node, questionSession, sessionQuestion(opReplace, session.Hash(l.key), q))
		_ = t.server.topics.fault("ask", "", err) // it is logged
	}
	return pending
}

// replaceAgain is replaceElsewhere after the join, because connections of other nodes
// joined at the same time.
func (t *sessions) replaceAgain(l *live) {
	t.server.topics.work(func() {
		ctx := t.server.topics.ctx
		for range placeAttempts {
			if !t.replaceElsewhere(ctx, l, 0) || !wait(ctx, placePause+rand.N(placePause)) {
				return
			}
		}
	})
}

// answerReplace ends the connection with the number of a join. l may be nil.
func (t *sessions) answerReplace(l *live, data []byte) error {
	if len(data) != 8 {
		return errQuestion
	}
	if l != nil {
		t.replaceJoin(l, binary.LittleEndian.Uint64(data))
	}
	return nil
}

func (t *sessions) replaceJoin(l *live, number uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range l.conns {
		if c.session.number == number {
			t.replaceConn(c)
			return
		}
	}
}
