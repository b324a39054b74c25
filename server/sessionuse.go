package server

import (
	"context"
	"time"
)

// touchEvery is how often the use of a session is noted while connections have it.
// A store may let sessions expire that were not used for longer than that.
const touchEvery = 5 * time.Minute

// watchUse has the use of sessions noted from now on, until no connection has one.
// The caller holds mu.
func (t *sessions) watchUse() {
	if t.watching || t.store.store == nil {
		return
	}
	t.watching = true
	time.AfterFunc(touchEvery, t.noteUse)
}

// noteUse notes the use of each session that connections have.
func (t *sessions) noteUse() {
	if !t.server.begin() { // what is in no connection's hands was noted when that ended
		return
	}
	defer t.server.end()
	for _, key := range t.inUse() {
		if t.isInUse(key) { // still: a store may be slow
			ctx, cancel := detached(context.Background())
			// A session that is gone is so for the next who restores it.
			_ = t.store.touch(ctx, key, time.Now())
			cancel()
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watching = false
	if len(t.live) > 0 {
		t.watchUse()
	}
}

func (t *sessions) inUse() (keys []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, l := range t.live {
		if len(l.conns) > 0 {
			keys = append(keys, key)
		}
	}
	return keys
}

func (t *sessions) isInUse(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.live[key]
	return l != nil && len(l.conns) > 0
}
