package chat

import (
	"sync"
	"time"
)

// limit lets everybody do something so often: a burst at once, and again after
// each interval. Its memory is bounded by how many do it at the same time.
type limit struct {
	burst int
	every time.Duration

	mu   sync.Mutex
	free map[string]time.Time // when the last thing done is forgotten
	next time.Time            // when to forget who is long since free
}

// allow reports whether who may do it now, and notes that.
func (l *limit) allow(who string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.After(l.next) {
		for other, free := range l.free {
			if !free.After(now) {
				delete(l.free, other)
			}
		}
		l.next = now.Add(time.Minute)
	}
	free := l.free[who]
	if free.Before(now) {
		free = now
	}
	free = free.Add(l.every)
	if free.Sub(now) > time.Duration(l.burst)*l.every {
		return false
	}
	if l.free == nil {
		l.free = make(map[string]time.Time)
	}
	l.free[who] = free
	return true
}
