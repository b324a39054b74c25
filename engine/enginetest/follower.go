package enginetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/webwire-go/webwire/engine"
)

// Follower follows one topic of a node as a server does for its subscribers: it
// subscribes, reads what is kept behind a position, takes what is delivered, fills
// gaps from the log, and compares its position from time to time. What it has seen is
// the topic's order, or it has told a gap. What was not logged it ignores.
type Follower struct {
	log     engine.Log
	topic   string
	since   engine.Position
	checks  time.Duration
	ctx     context.Context
	cancel  context.CancelFunc
	wake    chan struct{} // one slot
	running sync.WaitGroup

	mu    sync.Mutex
	live  []engine.Delivery
	check bool
	seen  []string
	gaps  map[int]bool // by the index of what was seen next
	mine  engine.Position
}

// Followers is what an [Inlet] passes deliveries and losses to.
type Followers struct {
	mu     sync.Mutex
	topics map[string]*Follower
}

// Attach has the followers called by in. It is called before the engine is opened.
func (f *Followers) Attach(in *Inlet) {
	in.OnDeliver = func(subject string, d engine.Delivery) {
		if follower := f.of(subject); follower != nil {
			follower.deliver(d)
		}
	}
	in.OnLost = func(subjects []string, _ error) { f.lost(subjects) }
}

func (f *Followers) of(topic string) *Follower {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.topics[topic]
}

func (f *Followers) lost(subjects []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if subjects == nil {
		for _, follower := range f.topics {
			follower.recheck()
		}
	}
	for _, subject := range subjects {
		if follower := f.topics[subject]; follower != nil {
			follower.recheck()
		}
	}
}

// Follow follows a topic behind since, until Stop. The first check of the position
// comes after the time given, and then one each ten times that.
func (f *Followers) Follow(e engine.Engine, topic string, since engine.Position, check time.Duration) (*Follower, error) {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Follower{
		log: e.Log, topic: topic, since: since, checks: check, ctx: ctx, cancel: cancel,
		wake: make(chan struct{}, 1), gaps: make(map[int]bool), mine: since,
	}
	f.mu.Lock()
	if f.topics == nil {
		f.topics = make(map[string]*Follower)
	}
	f.topics[topic] = w
	f.mu.Unlock()
	if err := e.Bus.Subscribe(ctx, topic); err != nil {
		cancel()
		return nil, err
	}
	w.running.Go(w.run)
	return w, nil
}

// Stop ends the follower and waits for its end. The subscription stays.
func (w *Follower) Stop() {
	w.cancel()
	w.running.Wait()
}

// Seen returns the data of what the follower has seen, in its order.
func (w *Follower) Seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.seen...)
}

// Len returns how much the follower has seen.
func (w *Follower) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen)
}

// Gaps returns the number of gaps reported.
func (w *Follower) Gaps() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.gaps)
}

// Position returns up to where the follower has seen the topic.
func (w *Follower) Position() engine.Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mine
}

// Verify returns an error unless what was seen is a part of want, in order, that
// misses something only where a gap was told.
func (w *Follower) Verify(want []string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	place := make(map[string]int, len(want))
	for i, s := range want {
		place[s] = i
	}
	next := 0
	for i, s := range w.seen {
		at, known := place[s]
		switch {
		case !known:
			return fmt.Errorf("%q was seen but not published", s)
		case at < next:
			return fmt.Errorf("%q was seen after %q", s, w.seen[i-1])
		case at > next && !w.gaps[i]:
			return fmt.Errorf("%q is missing before %q, and no gap was told", want[next], s)
		}
		next = at + 1
	}
	if next < len(want) && !w.gaps[len(w.seen)] {
		return fmt.Errorf("%q is missing at the end", want[next])
	}
	return nil
}

func (w *Follower) deliver(d engine.Delivery) {
	if d.At.IsZero() {
		return
	}
	w.mu.Lock()
	w.live = append(w.live, d)
	w.mu.Unlock()
	w.signal()
}

func (w *Follower) recheck() {
	w.mu.Lock()
	w.check = true
	w.mu.Unlock()
	w.signal()
}

func (w *Follower) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Follower) run() {
	w.read()
	timer := time.NewTimer(w.checks)
	defer timer.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-timer.C:
			timer.Reset(10 * w.checks)
			w.compare()
		case <-w.wake:
			w.mu.Lock()
			live, check := w.live, w.check
			w.live, w.check = nil, false
			w.mu.Unlock()
			for i := range live {
				w.handle(live[i])
			}
			if check {
				w.compare()
			}
		}
	}
}

func (w *Follower) handle(d engine.Delivery) {
	step := d.Step(w.Position())
	if step == engine.Gap || step == engine.Reset {
		w.read()
		step = d.Step(w.Position())
	}
	if step == engine.Next {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen = append(w.seen, string(d.Data))
		w.mine = d.At
	}
}

// read takes everything behind the position from the log.
func (w *Follower) read() {
	for {
		mine := w.Position()
		page, err := w.log.Read(w.ctx, w.topic, mine, 50)
		if err != nil {
			if !w.pause() {
				return
			}
			continue
		}
		w.mu.Lock()
		if !page.Complete {
			w.gaps[len(w.seen)] = true
		}
		for _, e := range page.Entries {
			w.seen = append(w.seen, string(e.Data))
		}
		w.mine = page.Now
		w.mu.Unlock()
		if !page.More {
			return
		}
	}
}

// compare reads if the log ends behind the position.
func (w *Follower) compare() {
	for {
		tops, err := w.log.Tops(w.ctx, []string{w.topic})
		if err != nil {
			if !w.pause() {
				return
			}
			continue
		}
		mine := w.Position()
		if top := tops[0]; top.Now.Epoch == mine.Epoch && top.Last.Offset <= mine.Offset && mine.Offset <= top.Now.Offset {
			w.mu.Lock()
			w.mine = top.Now
			w.mu.Unlock()
			return
		}
		w.read()
		return
	}
}

// pause waits before another try, and reports whether to make it.
func (w *Follower) pause() bool {
	timer := time.NewTimer(20 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.ctx.Done():
		return false
	}
}
