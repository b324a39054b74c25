package server

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/webwire-go/webwire/internal/link"
)

// event is a kind of record in the log. docs/logging.md has the table of all.
type event uint8

const (
	requestFailed event = iota // an error of a handler that its client does not learn
	requestLeft                // an error of a handler after its connection ended, for that
	replyLost                  // a reply that cannot be sent
	panicked                   // a handler, a hook or the session store panicked
	storeFailed                // the session store or a hook of sessions failed
	acceptFailed               // a listener failed for the moment, or cannot be closed
	upgradeFailed              // an HTTP request that became no connection
	originRefused              // that because of its origin
	connectFailed              // OnClientConnected refused a client with an error that it does not read
	misconfigured              // found by New
	events
)

// rate limits the records of an event: burst of them at once, and one each every.
type rate struct {
	burst int
	every time.Duration
}

var eventTable = [events]struct {
	level slog.Level
	rate  rate // zero: clients cannot cause many
}{
	requestFailed: {slog.LevelError, rate{10, time.Second}},
	requestLeft:   {slog.LevelDebug, rate{}},
	replyLost:     {slog.LevelError, rate{10, time.Second}},
	panicked:      {slog.LevelError, rate{10, time.Second}},
	storeFailed:   {slog.LevelError, rate{10, time.Second}},
	acceptFailed:  {slog.LevelWarn, rate{}},
	upgradeFailed: {slog.LevelDebug, rate{}},
	originRefused: {slog.LevelWarn, rate{1, time.Minute}},
	connectFailed: {slog.LevelError, rate{10, time.Second}},
	misconfigured: {slog.LevelError, rate{}},
}

// logger writes to the application's Logger, which may do what it likes: it may be
// called while a panic is handled, so no method of logger panics.
type logger struct {
	to *slog.Logger

	mu      sync.Mutex
	buckets [events]bucket
}

// bucket counts the records of an event.
type bucket struct {
	used       int       // of the burst
	since      time.Time // when used was right
	suppressed uint64    // since the last record
}

// write writes a record. One that follows records that were suppressed says how many.
func (l *logger) write(e event, msg string, args ...any) {
	defer func() { _ = recover() }() // the Logger's panic
	ctx, level := context.Background(), eventTable[e].level
	if !l.to.Enabled(ctx, level) {
		return
	}
	suppressed, ok := l.take(e)
	if !ok {
		return
	}
	if suppressed > 0 {
		args = append(args, "suppressed", suppressed)
	}
	l.to.Log(ctx, level, msg, args...)
}

// take reports whether a record may be written, and how many were not since the last.
func (l *logger) take(e event) (suppressed uint64, ok bool) {
	r := eventTable[e].rate
	if r.burst == 0 {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b, now := &l.buckets[e], time.Now()
	if n := int(now.Sub(b.since) / r.every); n >= b.used {
		b.used, b.since = 0, now
	} else {
		b.used -= n
		b.since = b.since.Add(time.Duration(n) * r.every)
	}
	if b.used >= r.burst {
		b.suppressed++
		return 0, false
	}
	b.used++
	suppressed, b.suppressed = b.suppressed, 0
	return suppressed, true
}

// panicked writes the end of user code that did not return: value is what it
// panicked with, nil if it called runtime.Goexit.
func (l *logger) panicked(what string, value any, stack []byte, args ...any) {
	text := "runtime.Goexit was called"
	if value != nil {
		text = textOf(value)
	}
	args = append(args, "panic", text, "stack", string(stack))
	l.write(panicked, "webwire: "+what+" panicked", args...)
}

// maxText is the number of bytes of a text that are logged.
const maxText = 1024

// textOf returns what fmt prints of value, as loggable does. A method of value that
// panics costs no more than its text.
func textOf(value any) string { return loggable(fmt.Sprint(value)) }

// loggable returns s as it may stand in any log: at most about maxText bytes, without
// control characters, line breaks and invalid UTF-8, which are escaped as in Go. A
// peer may have chosen the text.
func loggable(s string) string {
	more := len(s) - maxText
	if more > 0 {
		s = s[:maxText]
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case strconv.IsPrint(r):
			b.WriteString(s[:n])
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
		s = s[n:]
	}
	if more > 0 {
		fmt.Fprintf(&b, " (%d bytes more)", more)
	}
	return b.String()
}

// panicked logs that user code panicked or called runtime.Goexit.
func (c *Conn) panicked(what string, value any, stack []byte) {
	c.server.log.panicked(what, concealed(value, c.sessionKey()), stack, "remote", textOf(c.info.RemoteAddr))
}

// concealed returns the text of a panic's value, without the session key.
func concealed(value any, key string) any {
	if value == nil {
		return nil
	}
	return link.ConcealText(fmt.Sprint(value), key)
}

func (c *Conn) log(e event, msg string, args ...any) {
	c.server.log.write(e, msg, append(args, "remote", textOf(c.info.RemoteAddr))...)
}
