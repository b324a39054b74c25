package client

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/logs"
)

// The kinds of log records. docs/logging.md lists all of them.
const (
	requestFailed logs.Event = iota // an error of a handler that the server does not learn
	panicked                        // a handler, a hook or a function of Options panicked
	keysFailed                      // Options.Keys
	cannotRestore                   // the server refuses the session for now
	cannotResume                    // client and server disagree about what was received
	cannotConnect                   // the first of several attempts failed
	recovered                       // one succeeded after that
	connEnded                       // a connection has ended
	socketLost                      // a connection has lost its socket and may get another one
)

var logKinds = []logs.Kind{
	requestFailed: {Level: slog.LevelError, Burst: 10, Every: time.Second},
	panicked:      {Level: slog.LevelError, Burst: 10, Every: time.Second},
	keysFailed:    {Level: slog.LevelError, Burst: 10, Every: time.Second},
	cannotRestore: {Level: slog.LevelWarn, Burst: 10, Every: time.Second},
	cannotResume:  {Level: slog.LevelWarn, Burst: 10, Every: time.Second},
	cannotConnect: {Level: slog.LevelWarn, Burst: 10, Every: time.Second},
	recovered:     {Level: slog.LevelInfo, Burst: 10, Every: time.Second},
	connEnded:     {Level: slog.LevelDebug},
	socketLost:    {Level: slog.LevelDebug},
}

// logText returns what fmt prints of value for the log, without the session key.
func logText(value any, key string) string {
	return logs.Clean(link.ConcealText(fmt.Sprint(value), key))
}

// logEnd logs who ended the connection, and why.
func (s *serving) logEnd(reason error) {
	c := s.client
	if !c.log.Enabled(connEnded) {
		return
	}
	by, status := s.link.EndedBy("client", "server")
	switch {
	case errors.Is(reason, errWindowOver):
		by = "network"
	case errors.Is(reason, errNotResumed):
		by = "server"
	}
	args := []any{"by", by, "reason", logText(reason, c.sessionKey())}
	if status != 0 {
		args = append(args, "status", int(status))
	}
	c.log.Write(connEnded, "webwire: connection ended", append(args, "duration", time.Since(s.began))...)
}

// logLoss logs why the connection has lost its socket.
func (s *serving) logLoss(reason error) {
	if c := s.client; c.log.Enabled(socketLost) {
		c.log.Write(socketLost, "webwire: connection lost its socket", "reason", logText(reason, c.sessionKey()))
	}
}

// sessionKey returns the key of the session, empty if there is none.
func (c *Client) sessionKey() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session.key
}
