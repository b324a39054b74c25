package server

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/webwire-go/webwire/engine"
)

// The position is compared with the log a second after the engine confirmed the
// subscription, which can be lost on the way to another node, and then every 40 s ± 20 %.
const checkEvery = 40 * time.Second

// scheduleCheck has the position checked after d. The caller holds mu.
func (e *topic) scheduleCheck(d time.Duration) {
	switch {
	case e.stopped:
	case e.check == nil:
		e.check = time.AfterFunc(d, e.checkPosition)
	default:
		e.check.Reset(d)
	}
}

func (e *topic) checkPosition() {
	e.topics.work(func() {
		e.topics.compare([]*topic{e})
		e.mu.Lock()
		defer e.mu.Unlock()
		e.scheduleCheck(time.Duration(float64(checkEvery) * (0.8 + 0.4*rand.Float64())))
	})
}

// recheck compares the topics with their logs after deliveries were lost; nil are all. What
// a topic without history has lost cannot be found out: its members are told of a gap.
func (t *topics) recheck(names []string) {
	var all []*topic
	if names != nil {
		for _, name := range names {
			if e := t.find(name); e != nil {
				all = append(all, e)
			}
		}
	} else {
		t.live.Range(func(_, e any) bool {
			all = append(all, e.(*topic))
			return true
		})
	}
	var logged []*topic
	for _, e := range all {
		if e.opts.History {
			logged = append(logged, e)
		} else {
			e.lostSome()
		}
	}
	t.compare(logged)
	if names == nil {
		for _, e := range all {
			e.changed() // the roster may have lost the record
		}
	}
}

// lostSome tells the members of a topic without history that publications may be lost.
func (e *topic) lostSome() {
	var f fan
	defer f.flush()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.topics.gaps.Add(1)
	e.sendGap(&f, engine.Position{})
}

// compare finds out which topics have missed something, and reads that.
func (t *topics) compare(all []*topic) {
	for batch := range slices.Chunk(all, pageSize) {
		names := make([]string, len(batch))
		for i, e := range batch {
			names[i] = e.name
		}
		ctx, cancel := context.WithTimeout(t.ctx, engineTimeout)
		tops, err := t.engine.Log.Tops(ctx, names)
		cancel()
		if t.fault("tops", names[0], err) != nil {
			continue // the engine calls Lost when it is back
		}
		for i, e := range batch {
			e.compare(tops[i])
		}
	}
}

func (e *topic) compare(top engine.Top) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.position.IsZero(): // it has yet to begin
	case e.filling: // perhaps with a page that was read before
		e.refill = true
	case top.Now.Epoch != e.position.Epoch || top.Last.Offset > e.position.Offset || top.Now.Offset < e.position.Offset:
		// A log that ends before the position has lost its end, unless the topic has moved
		// on meanwhile: the log says which.
		e.fill()
	default:
		e.position.Offset = max(e.position.Offset, top.Now.Offset)
	}
}

func key(p engine.Position) string {
	return strconv.FormatUint(p.Epoch, 36) + "." + strconv.FormatUint(p.Offset, 36)
}
