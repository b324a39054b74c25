// Package chat is the server side of the chatroom: rooms with a history and members with
// a name, on a [server.Server].
//
// A name belongs to a session from signing in to signing out, with or without a
// connection. A room numbers its messages and stores them before it sends them. After
// reconnecting, a client asks for the messages after the last one it has, and sends its
// unconfirmed messages again: the room recognises them by their id.
package chat

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

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
	list     server.Topic // of the rooms; published when it changes
	telling  sync.Mutex   // held while it is published, so that the latest comes last

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
		log:     opts.Logger,
		signIns: limit{rate: rate{burst: 30, every: 2 * time.Second}},
		calls:   limit{rate: rate{burst: 200, every: 50 * time.Millisecond}},
		typings: limit{rate: rate{burst: 3, every: time.Second}},
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
	c.Server = server.New(server.Options{
		Upgrader:        opts.Upgrader,
		Logger:          opts.Logger,
		Sessions:        c.sessions,
		MaxSessionConns: 16,
		MaxMessageSize:  maxMessageSize,
		Handler:         c.mux(),
		Hooks: server.Hooks{
			OnClientAway:         c.away,
			OnClientBack:         c.back,
			OnClientDisconnected: c.disconnected,
			OnSessionCreated:     c.sessionCreated,
			OnSessionLookup:      c.sessionLookup,
			OnSessionClosed:      c.sessionClosed,
		},
	})
	c.list = c.Server.Topic("rooms")
	if c.rooms, err = openRooms(filepath.Join(dir, "rooms"), c.Server, c.log, c.tellRooms); err != nil {
		return nil, errors.Join(err, c.Server.Close())
	}
	return c, nil
}

// Close closes the files. Call it after the Server has been shut down.
func (c *Chat) Close() error {
	var errs []error
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

// away, back and disconnected find out who is still in the rooms of a connection.

func (c *Chat) away(conn *server.Conn, _ error) {
	conn.SetValue(away{})
	c.look(conn)
}

func (c *Chat) back(_ context.Context, conn *server.Conn) error {
	conn.SetValue(nil)
	c.look(conn)
	return nil
}

func (c *Chat) disconnected(conn *server.Conn, _ error) { c.look(conn) }

func (c *Chat) look(conn *server.Conn) {
	if name, ok := owner(conn); ok {
		for _, r := range c.rooms.all() {
			r.people.look(name, grace)
		}
	}
}

// away is the value of connections whose client is away.
type away struct{}

func isAway(conn *server.Conn) bool { return conn.Value() == away{} }

// signedOut removes a connection from everything.
func (c *Chat) signedOut(conn *server.Conn, name string) {
	c.list.Leave(conn)
	for _, r := range c.rooms.all() {
		r.people.leave(conn, name)
	}
}

// current returns the list of rooms.
func (c *Chat) current() []Room {
	var list []Room
	for _, r := range c.rooms.list() {
		list = append(list, Room{Room: r.name, Members: r.people.count()})
	}
	return list
}

// tellRooms publishes the list of rooms.
func (c *Chat) tellRooms() {
	c.telling.Lock()
	defer c.telling.Unlock()
	tell(c.list, "rooms", c.current(), c.log)
}
