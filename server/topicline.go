package server

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/webwire-go/webwire/engine"
)

const (
	ringSize  = 100  // publications of a topic that the node keeps
	maxAhead  = 1024 // that wait while others are read from the log
	pageSize  = 256
	maxRounds = 64 // of reading the log again because the topic has moved on
)

// topic is a topic on this node. All live members are at the same position: the node
// finds duplicates and gaps once for all of them.
type topic struct {
	topics *topics
	name   string
	opts   TopicOptions

	holds  int         // guarded by the shard's mu
	expiry *time.Timer // once nobody held it; guarded by the shard's mu

	turn       chan struct{} // held while the engine is asked to subscribe
	subscribed bool          // guarded by turn

	reads singleflight.Group // pages of the log

	mu       sync.Mutex
	stopped  bool
	members  []*member // each at its index
	position engine.Position
	ring     []engine.Entry  // the latest, without holes up to position
	ringFrom engine.Position // nothing is missing between it and ring
	filling  bool            // what was missed is being read
	refill   bool            // once more, because more may be missing
	ahead    []arrival
	aheadOut bool        // ahead was full
	joining  int         // members that are catching up
	check    *time.Timer // of the position; nil: none
	presence *presence   // nil: the topic has none
}

func newTopic(t *topics, name string, opts TopicOptions) *topic {
	e := &topic{topics: t, name: name, opts: opts, turn: make(chan struct{}, 1)}
	if opts.Presence {
		e.presence = &presence{most: maxRecord, hurried: make(chan struct{}, 1)}
	}
	return e
}

// begin sets the position of a topic that was just subscribed. Deliveries may have set it.
func (e *topic) begin(top engine.Top) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.position.IsZero() {
		e.position, e.ringFrom = top.Now, top.Now
		if !top.Last.IsZero() {
			e.ringFrom = top.Last
		}
	}
	e.scheduleCheck(time.Second)
}

// stop ends what the topic does by itself, unless its record is being put. It reports whether
// it did.
func (e *topic) stop() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p := e.presence; p != nil {
		if p.running {
			return false
		}
		p.stop()
	}
	e.stopped = true
	if e.check != nil {
		e.check.Stop()
	}
	return true
}

// deliver gets what the engine delivers.
func (e *topic) deliver(d engine.Delivery) {
	if e.hear(d) {
		return
	}
	a := e.arrive(d)
	var f fan
	defer f.flush()
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !e.opts.History || a.At.IsZero():
		a.At = engine.Position{}
		e.send(&f, a)
	case e.filling:
		e.keepAhead(a)
	default:
		e.step(&f, a)
	}
}

// step handles the delivery if it is the next, and otherwise reads what is missing. The
// caller holds mu.
func (e *topic) step(f *fan, d arrival) {
	switch d.Step(e.position) {
	case engine.Next:
		e.take(f, d)
	case engine.Seen:
	default:
		e.keepAhead(d)
		e.fill()
	}
}

// take is a step of the topic.
func (e *topic) take(f *fan, d arrival) {
	if e.position.IsZero() {
		e.ringFrom = d.Prev
		if d.Prev.Offset == 0 { // others before it may have expired
			e.ringFrom = engine.Position{Epoch: d.At.Epoch, Offset: d.At.Offset - 1}
		}
	}
	e.position = d.At
	e.ring = append(e.ring, engine.Entry{At: d.At, Data: d.Data})
	limit := ringSize
	if e.joining > 0 {
		limit = maxAhead
	}
	if over := len(e.ring) - limit; over > 0 {
		e.ringFrom = e.ring[over-1].At
		// The array moves on by itself when append needs another one.
		clear(e.ring[:over])
		e.ring = e.ring[over:]
	}
	e.send(f, d)
}

func (e *topic) keepAhead(d arrival) {
	if len(e.ahead) >= maxAhead {
		e.ahead, e.aheadOut = nil, true
	}
	e.ahead = append(e.ahead, d)
}

// fill reads what was missed. The caller holds mu.
func (e *topic) fill() {
	if !e.filling && !e.stopped && e.topics.work(e.fillUp) {
		e.filling = true
	}
}

// fillUp reads until the topic is where its log is, and then handles what was delivered
// meanwhile.
func (e *topic) fillUp() {
	pause := 50 * time.Millisecond
	for {
		e.mu.Lock()
		at := e.position
		stopped := e.stopped
		e.mu.Unlock()
		if stopped {
			return
		}
		page, err := e.read(e.topics.ctx, at)
		if err != nil {
			if !wait(e.topics.ctx, pause) {
				return
			}
			pause = min(2*pause, time.Second)
			continue
		}
		if e.fillWith(page) {
			return
		}
	}
}

// fillWith handles a page, and reports whether nothing is missing any more.
func (e *topic) fillWith(page engine.Page) (done bool) {
	entries := make([]arrival, len(page.Entries))
	for i, entry := range page.Entries {
		entries[i] = e.arrive(engine.Delivery{Data: entry.Data, At: entry.At})
	}
	f := fan{old: true}
	defer f.flush()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !page.Complete {
		e.jump(&f, before(page))
	}
	for _, entry := range entries {
		if entry.At.Offset > e.position.Offset {
			entry.Prev = e.position
			e.take(&f, entry)
		}
	}
	e.position.Offset = max(e.position.Offset, page.Now.Offset)
	if page.More {
		return false
	}
	if e.refill {
		e.refill = false
		return false
	}
	if e.aheadOut {
		e.ahead, e.aheadOut = nil, false
		return false
	}
	for i, d := range e.ahead {
		switch d.Step(e.position) {
		case engine.Next:
			e.take(&f, d)
		case engine.Gap: // the log has more by now
			e.ahead = e.ahead[i:]
			return false
		case engine.Seen, engine.Reset: // of another epoch than the log
		}
	}
	e.ahead = nil
	e.filling = false
	return true
}

// before returns the position of a reader to which page is all that follows.
func before(page engine.Page) engine.Position {
	if len(page.Entries) == 0 {
		return page.Now
	}
	at := page.Entries[0].At
	return engine.Position{Epoch: at.Epoch, Offset: at.Offset - 1}
}

// jump goes on at another position, and tells members that publications are lost.
func (e *topic) jump(f *fan, to engine.Position) {
	if to.Offset < e.position.Offset { // what members have read is not what follows
		for _, m := range e.members {
			m.read = nil
		}
	}
	e.position, e.ringFrom, e.ring = to, to, nil
	e.topics.gaps.Add(1)
	e.sendGap(f, to)
}

// read reads a page of the log after a position. Whoever reads the same at the same time
// shares the page.
func (e *topic) read(ctx context.Context, after engine.Position) (engine.Page, error) {
	t := e.topics
	result := e.reads.DoChan(key(after), func() (any, error) {
		ctx, cancel := context.WithTimeout(t.ctx, engineTimeout)
		defer cancel()
		page, err := t.engine.Log.Read(ctx, e.name, after, pageSize)
		return page, t.fault("read", e.name, err)
	})
	select {
	case r := <-result:
		page, _ := r.Val.(engine.Page)
		return page, r.Err
	case <-ctx.Done():
		return engine.Page{}, ctx.Err()
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
