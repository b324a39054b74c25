package engine

import (
	"errors"
	"slices"
	"sync"
)

// What may wait for a node that is slow.
const (
	maxQueued      = 1 << 16
	maxQueuedBytes = 64 << 20
	maxLost        = 1000 // subjects that are reported by name
)

var errSlowNode = errors.New("engine: the node is too slow for its deliveries")

// memoryQueue is what waits to be delivered to a node. Pushing never blocks: if the
// queue is full the delivery is lost, and the node learns of which subjects once it
// has handled what is queued. A goroutine runs while there is something to deliver.
type memoryQueue struct {
	inlet Inlet

	mu      sync.Mutex
	items   []queued
	bytes   int // of items, and of those that are being delivered
	count   int // likewise
	lost    map[string]struct{}
	running bool
	closed  bool
	worker  sync.WaitGroup
}

type queued struct {
	subject string
	d       Delivery
}

func (q *memoryQueue) push(subject string, d Delivery) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	if q.count > 0 && (q.count >= maxQueued || q.bytes+len(d.Data) > maxQueuedBytes) {
		if q.lost == nil {
			q.lost = make(map[string]struct{})
		}
		if len(q.lost) <= maxLost {
			q.lost[subject] = struct{}{}
		}
		return
	}
	q.items = append(q.items, queued{subject, d})
	q.count++
	q.bytes += len(d.Data)
	if !q.running {
		q.running = true
		q.worker.Go(q.run)
	}
}

// run delivers until nothing is left.
func (q *memoryQueue) run() {
	var batch []queued
	for {
		q.mu.Lock()
		batch, q.items = q.items, batch[:0]
		lost := q.lost
		if len(batch) == 0 {
			q.lost = nil
		}
		if q.closed || len(batch) == 0 && lost == nil {
			q.running = false
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		if len(batch) == 0 {
			q.report(lost)
		}
		for i := range batch {
			q.inlet.Deliver(batch[i].subject, batch[i].d)
			q.done(&batch[i])
			if q.isClosed() {
				break
			}
		}
		if cap(batch) > 1024 {
			batch = nil
		}
	}
}

func (q *memoryQueue) done(item *queued) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count--
	q.bytes -= len(item.d.Data)
	*item = queued{}
}

func (q *memoryQueue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

func (q *memoryQueue) report(lost map[string]struct{}) {
	if len(lost) > maxLost {
		q.inlet.Lost(nil, errSlowNode)
		return
	}
	subjects := make([]string, 0, len(lost))
	for subject := range lost {
		subjects = append(subjects, subject)
	}
	slices.Sort(subjects)
	q.inlet.Lost(subjects, errSlowNode)
}

// close drops what is queued and waits for the delivery in progress.
func (q *memoryQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.items, q.lost = nil, nil
	q.mu.Unlock()
	q.worker.Wait()
}
