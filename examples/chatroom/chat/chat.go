// Package chat is the server's part of the chatroom: rooms with a history, members
// with a name, on a [server.Server].
//
// A name belongs to a session, from signing in to signing out, whoever is connected
// meanwhile. A room's messages are numbered and stored before anybody sees them; a
// client that was away asks for those after the last one it has, and sends again
// what it has no answer for: the message's id tells what is there already.
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

// Options says what a Chat does. The zero value of every field works.
type Options struct {
	// Upgrader turns HTTP requests into connections. Nil: none of them.
	Upgrader transport.Upgrader

	// Logger gets what goes wrong. Nil: slog.Default().
	Logger *slog.Logger

	// MessageRate is the number of messages a second that one user may send. What
	// is not used is saved, up to 1000 messages: a queue from a time without a
	// connection is sent at once. A new user has 20. Zero: 2.
	MessageRate float64
}

// Chat is a chatroom. Connections reach it through its Server.
type Chat struct {
	Server *server.Server

	log      *slog.Logger
	sessions *session.FileStore
	names    *names
	rooms    *rooms
	watchers *members   // who wants to know which rooms there are
	telling  sync.Mutex // held while the watchers are told, so that the last list is the latest

	signIns limit // of a host
	calls   limit // of a connection
	typings limit // of a name
}

// maxMessageSize is the longest message in either direction, in bytes: what is
// longer ends its connection. The longest reply is that of "join". It has a page of
// messages, and the names of maxMembers, of which each takes at most 4*maxName bytes
// and 3 for its punctuation.
const maxMessageSize = 32 << 10

// Open opens the chatroom whose files are in dir, which is made if it does not
// exist. One process at a time uses it.
func Open(dir string, opts Options) (_ *Chat, err error) {
	if opts.MessageRate <= 0 {
		opts.MessageRate = 2
	}
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
	messages := rate{burst: savedMessages, every: time.Duration(float64(time.Second) / opts.MessageRate)}
	if c.names, err = openNames(filepath.Join(dir, "names.json"), messages); err != nil {
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

// Close closes the files. Shut the Server down before.
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

// disconnected is the end of a connection: its owner leaves, unless another
// connection comes soon.
func (c *Chat) disconnected(conn *server.Conn, _ error) {
	c.watchers.leave(conn, true)
	for _, r := range c.rooms.all() {
		r.members.leave(conn, false)
	}
}

// list returns which rooms there are.
func (c *Chat) list() []Room {
	var list []Room
	for _, r := range c.rooms.list() {
		list = append(list, Room{Room: r.name, Members: r.members.count()})
	}
	return list
}

// tellRooms tells who wants to know which rooms there are now.
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
