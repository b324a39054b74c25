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

// event is a kind of log record. docs/logging.md lists all of them.
type event uint8

const (
	requestFailed event = iota // an error of a handler that its client does not learn
	requestLeft                // an error of a handler because its connection ended
	replyLost                  // a reply that cannot be sent
	panicked                   // a handler, a hook or the session store panicked
	storeFailed                // the session store or a hook of sessions failed
	acceptFailed               // a listener failed temporarily, or cannot be closed
	upgradeFailed              // an HTTP request that became no connection
	originRefused              // the same, because of its origin
	connectFailed              // OnClientConnected refused a client with an error that it does not read
	cannotResume               // a client and the server disagree about what was received
	engineFailed               // the engine of Options.Engine
	misconfigured              // an option that makes no sense
	events
)

// rate limits the records of an event: burst at once, then one per every.
type rate struct {
	burst int
	every time.Duration
}

var eventTable = [events]struct {
	level slog.Level
	rate  rate // zero: no limit, because clients cannot cause many
}{
	requestFailed: {slog.LevelError, rate{10, time.Second}},
	requestLeft:   {slog.LevelDebug, rate{10, time.Second}},
	replyLost:     {slog.LevelError, rate{10, time.Second}},
	panicked:      {slog.LevelError, rate{10, time.Second}},
	storeFailed:   {slog.LevelError, rate{10, time.Second}},
	acceptFailed:  {slog.LevelWarn, rate{1, time.Second}},
	upgradeFailed: {slog.LevelDebug, rate{10, time.Second}},
	originRefused: {slog.LevelWarn, rate{1, time.Minute}},
	connectFailed: {slog.LevelError, rate{10, time.Second}},
	cannotResume:  {slog.LevelWarn, rate{10, time.Second}},
	engineFailed:  {slog.LevelError, rate{10, time.Second}},
	misconfigured: {slog.LevelError, rate{}},
}

// logger writes to the application's Logger. Its methods do not panic, whatever the Logger
// does, because they are called while panics are handled.
type logger struct {
	to *slog.Logger

	mu      sync.Mutex
	buckets [events]bucket
}

// bucket counts the records of an event.
type bucket struct {
	used       int // of the burst, at the time since
	since      time.Time
	suppressed uint64 // since the last record
}

// write writes a record, unless it exceeds its rate. The next record has the number of
// suppressed ones.
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

// take reports whether a record may be written, and the number that were suppressed since
// the last one.
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

// panicked logs that user code panicked with value, or called runtime.Goexit if value is
// nil.
func (l *logger) panicked(what string, value any, stack []byte, args ...any) {
	text := "runtime.Goexit was called"
	if value != nil {
		text = textOf(value)
	}
	args = append(args, "panic", text, "stack", string(stack))
	l.write(panicked, "webwire: "+what+" panicked", args...)
}

// maxText is the maximum number of bytes of a text that are logged.
const maxText = 1024

// textOf returns what fmt prints of value, made safe by loggable.
func textOf(value any) string { return loggable(fmt.Sprint(value)) }

// loggable returns s made safe for any log, because a peer may have chosen it: at most
// about maxText bytes, with control characters, line breaks and invalid UTF-8 escaped as
// in Go.
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
