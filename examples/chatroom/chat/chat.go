// Package chat is the server side of the chatroom: rooms with a history and members with
// a name, on a [server.Server].
//
// A name belongs to a session from signing in to signing out, with or without a
// connection. A room numbers its messages and stores them before it sends them. After
// reconnecting, a client asks for the messages after the last one it has, and sends its
// unconfirmed messages again: the room recognises them by their id.
package chat

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
)

// Options configures a Chat.
type Options struct {
	// Upgrader accepts WebSocket connections. Nil: the Server accepts none over HTTP.
	Upgrader transport.Upgrader

	// Logger receives errors. Nil: slog.Default().
	Logger *slog.Logger
}

// Chat is a chatroom. Connections reach it through its Server.
type Chat struct {
	Server *server.Server

	log      *slog.Logger
	sessions *session.FileStore
	names    *names
	rooms    *rooms
	watchers *members   // receive the list of rooms when it changes
	telling  sync.Mutex // held while they are sent the list, so that the latest comes last

	signIns limit // of a host
	calls   limit // of a connection
	typings limit // of a name
}

// maxMessageSize is the longest message in either direction, in bytes. The longest reply
// is that of "join": a page of messages, and the names of maxMembers, each of which has
// at most 4*maxName bytes and 3 for its punctuation.
const maxMessageSize = 32 << 10

// Open opens the chatroom whose files are in dir, which is created if it does not exist.
// Only one process at a time may use a directory.
func Open(dir string, opts Options) (_ *Chat, err error) {
	c := &Chat{
		log:      opts.Logger,
		watchers: newMembers(0, func(string) {}),
		signIns:  limit{rate: rate{burst: 30, every: 2 * time.Second}},
		calls:    limit{rate: rate{burst: 200, every: 50 * time.Millisecond}},
		typings:  limit{rate: rate{burst: 3, every: time.Second}},
	}
	if c.log == nil {
		c.log = slog.Default()
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if c.sessions, err = session.OpenFileStore(filepath.Join(dir, "sessions"), session.FileStoreOptions{MaxAge: nameAge}); err != nil {
		return nil, err
	}
	if c.names, err = openNames(filepath.Join(dir, "names.json")); err != nil {
		return nil, err
	}
	if c.rooms, err = openRooms(filepath.Join(dir, "rooms"), c.log, c.tellRooms); err != nil {
		return nil, err
	}
	c.Server = server.New(server.Options{
		Upgrader:        opts.Upgrader,
		Logger:          opts.Logger,
		Sessions:        c.sessions,
		MaxSessionConns: 16,
		MaxMessageSize:  maxMessageSize,
		Handler:         c.mux(),
		Hooks: server.Hooks{
			OnClientDisconnected: c.disconnected,
			OnSessionCreated:     c.sessionCreated,
			OnSessionLookup:      c.sessionLookup,
			OnSessionClosed:      c.sessionClosed,
		},
	})
	return c, nil
}

// Close closes the files. Call it after the Server has been shut down.
func (c *Chat) Close() error {
	var errs []error
	c.watchers.close()
	if c.rooms != nil {
		errs = append(errs, c.rooms.close())
	}
	if c.names != nil {
		errs = append(errs, c.names.close())
	}
	if c.sessions != nil {
		errs = append(errs, c.sessions.Close())
	}
	return errors.Join(errs...)
}

// disconnected removes a connection from its rooms. Its user leaves them unless another
// connection comes soon.
func (c *Chat) disconnected(conn *server.Conn, _ error) {
	c.watchers.leave(conn, true)
	for _, r := range c.rooms.all() {
		r.members.leave(conn, false)
	}
}

// list returns the list of rooms.
func (c *Chat) list() []Room {
	var list []Room
	for _, r := range c.rooms.list() {
		list = append(list, Room{Room: r.name, Members: r.members.count()})
	}
	return list
}

// tellRooms sends the list of rooms to the watchers.
func (c *Chat) tellRooms() {
	c.telling.Lock()
	defer c.telling.Unlock()
	p, err := protocol.JSON(c.list())
	if err == nil {
		_, err = server.Broadcast(c.watchers.all(""), "rooms", p)
	}
	if err != nil {
		c.log.Error("chatroom: list of rooms cannot be composed", "error", err)
	}
}
