package engine

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
)

// memoryNode is the Bus, the Log and the Roster of one node. Its fields are guarded
// by the lock of its memory, except those that are set once.
type memoryNode struct {
	memory *Memory
	ctx    context.Context // ends when the node is closed
	cancel context.CancelFunc

	self   NodeID
	inlet  Inlet // nil: not open
	closed bool
	queue  *memoryQueue
	asked  sync.WaitGroup // calls of Asked
}

// ready returns why the node cannot be used, or nil. The lock is held.
func (n *memoryNode) ready() error {
	if n.closed {
		return ErrClosed
	}
	if n.inlet == nil {
		return ErrNotOpen
	}
	return nil
}

// locked runs do under the lock if ctx has not ended, the names can be used and the
// node is ready.
func (n *memoryNode) locked(ctx context.Context, names []string, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, name := range names {
		if err := CheckName(name); err != nil {
			return err
		}
	}
	n.memory.mu.Lock()
	defer n.memory.mu.Unlock()
	if err := n.ready(); err != nil {
		return err
	}
	return do()
}

func (n *memoryNode) Open(ctx context.Context, self NodeID, in Inlet) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m := n.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case n.closed:
		return ErrClosed
	case n.inlet != nil:
		return fmt.Errorf("engine: node %v is open already", n.self)
	case m.nodes[self] != nil:
		return fmt.Errorf("engine: another node is %v", self)
	}
	n.self, n.inlet, n.queue = self, in, &memoryQueue{inlet: in}
	m.nodes[self] = n
	return nil
}

func (n *memoryNode) Publish(ctx context.Context, subject string, data []byte) error {
	data = bytes.Clone(data)
	return n.locked(ctx, []string{subject}, func() error {
		n.memory.deliver(subject, Delivery{Data: data})
		return nil
	})
}

func (n *memoryNode) Subscribe(ctx context.Context, subjects ...string) error {
	m := n.memory
	return n.locked(ctx, subjects, func() error {
		for _, subject := range subjects {
			if nodes := m.subs[subject]; !slices.Contains(nodes, n) {
				m.subs[subject] = append(nodes, n)
			}
		}
		return nil
	})
}

func (n *memoryNode) Unsubscribe(subjects ...string) {
	n.memory.mu.Lock()
	defer n.memory.mu.Unlock()
	for _, subject := range subjects {
		n.memory.unsubscribe(n, subject)
	}
}

func (n *memoryNode) Ask(ctx context.Context, to NodeID, data []byte) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	var other *memoryNode
	answer := make(chan result, 1)
	data = bytes.Clone(data)
	err := n.locked(ctx, nil, func() error {
		if other = n.memory.nodes[to]; other == nil {
			return fmt.Errorf("%w: %v", ErrNoNode, to)
		}
		other.asked.Add(1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	go func() {
		defer other.asked.Done()
		asked, cancel := context.WithCancel(other.ctx)
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		out, err := other.inlet.Asked(asked, n.self, data)
		answer <- result{out, err}
	}()
	select {
	case r := <-answer:
		if r.err != nil {
			return nil, &AskError{Node: to, Text: r.err.Error()}
		}
		return bytes.Clone(r.data), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-n.ctx.Done():
		return nil, ErrClosed
	case <-other.ctx.Done():
	}
	// It is closing, and what it answers now is answered.
	select {
	case r := <-answer:
		if r.err == nil {
			return bytes.Clone(r.data), nil
		}
	case <-ctx.Done():
	case <-n.ctx.Done():
	}
	return nil, fmt.Errorf("%w: node %v has closed", ErrUnconfirmed, to)
}

func (n *memoryNode) Close() error {
	m := n.memory
	m.mu.Lock()
	if !n.closed {
		n.closed = true
		m.remove(n)
		n.cancel()
	}
	queue := n.queue
	m.mu.Unlock()
	if queue != nil {
		queue.close()
	}
	n.asked.Wait()
	return nil
}

func (n *memoryNode) Append(ctx context.Context, topic string, data []byte, id string) (at Position, err error) {
	data = bytes.Clone(data)
	m := n.memory
	err = n.locked(ctx, []string{topic}, func() error {
		d, isNew, err := m.log.append(topic, data, id)
		if err != nil {
			return err
		}
		if isNew {
			m.deliver(topic, d)
		}
		at = d.At
		return nil
	})
	return at, err
}

func (n *memoryNode) Read(ctx context.Context, topic string, after Position, max int) (page Page, err error) {
	err = n.locked(ctx, []string{topic}, func() error {
		page = n.memory.log.read(topic, after, max)
		return nil
	})
	return page, err
}

func (n *memoryNode) Tops(ctx context.Context, topics []string) ([]Top, error) {
	tops := make([]Top, 0, len(topics))
	err := n.locked(ctx, topics, func() error {
		for _, topic := range topics {
			tops = append(tops, n.memory.log.top(topic))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return tops, nil
}

func (n *memoryNode) Nodes() iter.Seq[NodeID] {
	return func(yield func(NodeID) bool) {
		n.memory.mu.Lock()
		var ids []NodeID
		if n.ready() == nil {
			ids = slices.Collect(maps.Keys(n.memory.nodes))
		}
		n.memory.mu.Unlock()
		for _, id := range ids {
			if !yield(id) {
				return
			}
		}
	}
}

func (n *memoryNode) Put(ctx context.Context, topic string, members []byte) error {
	members = bytes.Clone(members)
	return n.locked(ctx, []string{topic}, func() error {
		n.memory.put(n.self, topic, members)
		return nil
	})
}

func (n *memoryNode) List(ctx context.Context, topic string) (list []Members, err error) {
	err = n.locked(ctx, []string{topic}, func() error {
		for _, r := range n.memory.present[topic] {
			list = append(list, Members{Node: r.Node, Data: bytes.Clone(r.Data)})
		}
		return nil
	})
	return list, err
}
