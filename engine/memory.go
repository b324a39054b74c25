package engine

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/webwire-go/webwire/session"
)

// Defaults of [Memory].
const (
	DefaultHistory  = 100
	DefaultMaxAge   = time.Hour
	DefaultMaxBytes = 64 << 20
)

// Memory is the engine of nodes that run in one process. The zero value is ready for
// use; it must not be copied after first use, nor its fields changed.
//
// A Memory that is not referred to any more needs no closing: the only goroutines are
// those that deliver to a node while there is something to deliver, and those that
// answer a question. A process that restarts has another Memory, with another epoch.
type Memory struct {
	// History is how many entries of each topic are kept. Zero: DefaultHistory.
	History int

	// MaxAge is how long an entry is kept. Zero: DefaultMaxAge. Negative: no limit.
	MaxAge time.Duration

	// MaxBytes limits the memory of all entries together, with about the overhead of
	// each; the oldest are evicted first. Zero: DefaultMaxBytes.
	MaxBytes int

	// Sessions is the store of sessions. Nil: a session.MemoryStore.
	Sessions session.Store

	mu      sync.Mutex
	started bool
	nodes   map[NodeID]*memoryNode
	subs    map[string][]*memoryNode // by subject
	present map[string][]Members     // by topic
	log     memoryLog
}

// Node returns the engine of one more node. Its Bus has to be opened.
func (m *Memory) Node() Engine {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.start()
	n := &memoryNode{memory: m}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return Engine{Bus: n, Log: n, Roster: n, Sessions: m.Sessions}
}

func (m *Memory) start() {
	if m.started {
		return
	}
	m.started = true
	if m.Sessions == nil {
		m.Sessions = &session.MemoryStore{}
	}
	m.nodes = make(map[NodeID]*memoryNode)
	m.subs = make(map[string][]*memoryNode)
	m.present = make(map[string][]Members)
	m.log = memoryLog{
		history:  orDefault(m.History, DefaultHistory),
		maxAge:   orDefault(m.MaxAge, DefaultMaxAge),
		maxBytes: orDefault(m.MaxBytes, DefaultMaxBytes),
		epoch:    newEpoch(),
		topics:   make(map[string]*memoryTopic),
		ids:      make(map[memoryID]uint64),
	}
}

func orDefault[T comparable](value, byDefault T) T {
	var zero T
	if value == zero {
		return byDefault
	}
	return value
}

// newEpoch returns a random epoch: clocks, real or virtual, can return the same time
// twice.
func newEpoch() uint64 {
	var b [8]byte
	rand.Read(b[:])                              // never fails, see its documentation
	return binary.BigEndian.Uint64(b[:])>>11 | 1 // below 2^53
}

// deliver queues d for all nodes that subscribed. m.mu is held, so that all of them
// get the same order.
func (m *Memory) deliver(subject string, d Delivery) {
	for _, n := range m.subs[subject] {
		n.queue.push(subject, d)
	}
}

// remove takes n out of everything; m.mu is held.
func (m *Memory) remove(n *memoryNode) {
	if m.nodes[n.self] == n {
		delete(m.nodes, n.self)
	}
	for subject := range m.subs {
		m.unsubscribe(n, subject)
	}
	for topic := range m.present {
		m.put(n.self, topic, nil)
	}
}

func (m *Memory) unsubscribe(n *memoryNode, subject string) {
	nodes := m.subs[subject]
	i := slices.Index(nodes, n)
	switch {
	case i < 0:
	case len(nodes) == 1:
		delete(m.subs, subject)
	default:
		m.subs[subject] = slices.Delete(nodes, i, i+1)
	}
}

func (m *Memory) put(node NodeID, topic string, data []byte) {
	records := slices.DeleteFunc(m.present[topic], func(r Members) bool { return r.Node == node })
	if len(data) > 0 {
		records = append(records, Members{Node: node, Data: data})
	}
	if len(records) == 0 {
		delete(m.present, topic)
		return
	}
	m.present[topic] = records
}
