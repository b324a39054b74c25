package chat

import (
	"sync"
	"time"
)

// rate is a token bucket: one token per interval, at most burst.
type rate struct {
	burst int
	every time.Duration
}

// take takes a token from a bucket that was empty at the given time. It returns the
// time at which a bucket with what is left would have been empty, or false if there
// is no token.
func (r rate) take(empty, now time.Time) (time.Time, bool) {
	if full := r.full(now); empty.Before(full) {
		empty = full
	}
	empty = empty.Add(r.every)
	return empty, !empty.After(now)
}

// full returns the time at which a bucket that is full now was empty, or earlier.
func (r rate) full(now time.Time) time.Time {
	return now.Add(-time.Duration(r.burst) * r.every)
}

// limit has a bucket per key, which is full at first. It remembers only buckets that
// are not full.
type limit struct {
	rate

	mu    sync.Mutex
	empty map[string]time.Time // see rate.take
	next  time.Time            // when to forget buckets that are full again
}

// allow takes a token from the bucket of key, and reports whether there was one.
func (l *limit) allow(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.After(l.next) {
		for other, empty := range l.empty {
			if !empty.After(l.full(now)) {
				delete(l.empty, other)
			}
		}
		l.next = now.Add(time.Minute)
	}
	empty, ok := l.take(l.empty[key], now)
	if !ok {
		return false
	}
	if l.empty == nil {
		l.empty = make(map[string]time.Time)
	}
	l.empty[key] = empty
	return true
}
