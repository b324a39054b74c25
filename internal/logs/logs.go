// Package logs writes records that peers can cause to the Logger of an application:
// limited in number, and with texts that are safe in any log.
package logs

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Event is a kind of record: an index of the kinds of a Logger.
type Event uint8

// Kind is what records of one kind have in common: their level, and a limit of Burst at
// once, then one per Every.
type Kind struct {
	Level slog.Level
	Burst int // zero: no limit, because peers cannot cause many
	Every time.Duration
}

// Logger writes to the application's Logger. Its methods do not panic, whatever that does,
// because they are called while panics are handled.
type Logger struct {
	to    *slog.Logger
	kinds []Kind // by Event

	mu      sync.Mutex
	buckets []bucket // by Event
}

// bucket counts the records of an event.
type bucket struct {
	used       int // of the burst, at the time since
	since      time.Time
	suppressed uint64 // since the last record
}

// Init prepares l for use. kinds is kept.
func (l *Logger) Init(to *slog.Logger, kinds []Kind) {
	l.to, l.kinds, l.buckets = to, kinds, make([]bucket, len(kinds))
}

// Enabled reports whether records of the event are wanted.
func (l *Logger) Enabled(e Event) (enabled bool) {
	defer func() { _ = recover() }() // the application's panic
	return l.to.Enabled(context.Background(), l.kinds[e].Level)
}

// Write writes a record, unless it exceeds its limit. The next record has the number of
// suppressed ones.
func (l *Logger) Write(e Event, msg string, args ...any) {
	if !l.Enabled(e) {
		return
	}
	suppressed, ok := l.take(e)
	if !ok {
		return
	}
	if suppressed > 0 {
		args = append(args, "suppressed", suppressed)
	}
	defer func() { _ = recover() }() // the application's panic
	l.to.Log(context.Background(), l.kinds[e].Level, msg, args...)
}

// take reports whether a record may be written, and the number that were suppressed since
// the last one.
func (l *Logger) take(e Event) (suppressed uint64, ok bool) {
	k := l.kinds[e]
	if k.Burst == 0 {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b, now := &l.buckets[e], time.Now()
	if n := int(now.Sub(b.since) / k.Every); n >= b.used {
		b.used, b.since = 0, now
	} else {
		b.used -= n
		b.since = b.since.Add(time.Duration(n) * k.Every)
	}
	if b.used >= k.Burst {
		b.suppressed++
		return 0, false
	}
	b.used++
	suppressed, b.suppressed = b.suppressed, 0
	return suppressed, true
}

// Panicked writes that user code panicked with value, or called runtime.Goexit if value is
// nil.
func (l *Logger) Panicked(e Event, msg string, value any, stack []byte, args ...any) {
	text := "runtime.Goexit was called"
	if value != nil {
		text = Text(value)
	}
	l.Write(e, msg, append(args, "panic", text, "stack", string(stack))...)
}
