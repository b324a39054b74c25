package client

import (
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
)

var logKinds = []logs.Kind{
	requestFailed: {Level: slog.LevelError, Burst: 10, Every: time.Second},
	panicked:      {Level: slog.LevelError, Burst: 10, Every: time.Second},
	keysFailed:    {Level: slog.LevelError, Burst: 10, Every: time.Second},
	cannotRestore: {Level: slog.LevelWarn, Burst: 10, Every: time.Second},
	cannotResume:  {Level: slog.LevelWarn, Burst: 10, Every: time.Second},
	cannotConnect: {Level: slog.LevelWarn, Burst: 10, Every: time.Second},
	recovered:     {Level: slog.LevelInfo, Burst: 10, Every: time.Second},
}

// logText returns what fmt prints of value for the log, without the session key.
func logText(value any, key string) string {
	return logs.Clean(link.ConcealText(fmt.Sprint(value), key))
}

// sessionKey returns the key of the session, empty if there is none.
func (c *Client) sessionKey() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session.key
}
