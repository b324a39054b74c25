package server

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/logs"
	"github.com/webwire-go/webwire/transport"
)

// The kinds of log records. docs/logging.md lists all of them.
const (
	requestFailed logs.Event = iota // an error of a handler that its client does not learn
	requestLeft                     // an error of a handler because its connection ended
	replyLost                       // a reply that cannot be sent
	panicked                        // a handler, a hook or the session store panicked
	storeFailed                     // the session store or a hook of sessions failed
	acceptFailed                    // a listener failed temporarily, or cannot be closed
	upgradeFailed                   // an HTTP request that became no connection
	originRefused                   // the same, because of its origin
	connectFailed                   // OnClientConnected refused a client with an error that it does not read
	cannotResume                    // a client and the server disagree about what was received
	engineFailed                    // the engine of Options.Engine
	misconfigured                   // an option that makes no sense
	connEnded                       // a connection has ended
	socketLost                      // a connection has lost its socket and may get another one
)

var logKinds = []logs.Kind{
	requestFailed: {Level: slog.LevelError, Burst: 10, Every: time.Second},
	requestLeft:   {Level: slog.LevelDebug, Burst: 10, Every: time.Second},
	replyLost:     {Level: slog.LevelError, Burst: 10, Every: time.Second},
	panicked:      {Level: slog.LevelError, Burst: 10, Every: time.Second},
	storeFailed:   {Level: slog.LevelError, Burst: 10, Every: time.Second},
	acceptFailed:  {Level: slog.LevelWarn, Burst: 1, Every: time.Second},
	upgradeFailed: {Level: slog.LevelDebug, Burst: 10, Every: time.Second},
	originRefused: {Level: slog.LevelWarn, Burst: 1, Every: time.Minute},
	connectFailed: {Level: slog.LevelError, Burst: 10, Every: time.Second},
	cannotResume:  {Level: slog.LevelWarn, Burst: 10, Every: time.Second},
	engineFailed:  {Level: slog.LevelError, Burst: 10, Every: time.Second},
	misconfigured: {Level: slog.LevelError},
	connEnded:     {Level: slog.LevelDebug, Burst: 100, Every: 10 * time.Millisecond},
	socketLost:    {Level: slog.LevelDebug, Burst: 100, Every: 10 * time.Millisecond},
}

// panicked logs that user code panicked or called runtime.Goexit.
func (c *Conn) panicked(what string, value any, stack []byte) {
	logPanic(&c.server.log, what, concealed(value, c.sessionKey()), stack, "remote", logs.Text(c.present().RemoteAddr))
}

func logPanic(log *logs.Logger, what string, value any, stack []byte, args ...any) {
	log.Panicked(panicked, "webwire: "+what+" panicked", value, stack, args...)
}

// concealed returns the text of a panic's value, without the session key.
func concealed(value any, key string) any {
	if value == nil {
		return nil
	}
	return link.ConcealText(fmt.Sprint(value), key)
}

// logEnd logs who ended the connection, and why.
func (c *Conn) logEnd(reason error) {
	if !c.server.log.Enabled(connEnded) || reason == ErrMoved && !c.admitted.Load() { // it was never here
		return
	}
	by, status := c.link.EndedBy("server", "client")
	switch {
	case reason == ErrClientGone:
		by = "network"
	case by == "client":
		reason = withoutText(reason)
	}
	args := []any{"by", by, "reason", c.logText(reason)}
	if status != 0 {
		args = append(args, "status", int(status))
	}
	c.log(connEnded, "webwire: connection ended", append(args, "duration", time.Since(c.info.Connected))...)
}

// logLoss logs why the connection has lost its socket.
func (c *Conn) logLoss(reason error) {
	if c.server.log.Enabled(socketLost) {
		c.log(socketLost, "webwire: connection lost its socket", "reason", c.logText(withoutText(reason)))
	}
}

// withoutText returns why a client ended a connection or socket without the text that it chose:
// that may be anything, a secret for instance.
func withoutText(reason error) error {
	var closed *transport.CloseError
	if errors.As(reason, &closed) && !closed.Local {
		return &transport.CloseError{Status: closed.Status}
	}
	return reason
}

// logText returns the text of err for the log, without the session key.
func (c *Conn) logText(err error) string {
	return logs.Clean(link.ConcealText(fmt.Sprint(err), c.sessionKey()))
}

func (c *Conn) log(e logs.Event, msg string, args ...any) {
	c.server.log.Write(e, msg, append(args, "remote", logs.Text(c.present().RemoteAddr))...)
}
