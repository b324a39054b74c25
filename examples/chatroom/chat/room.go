package chat

import (
	"log/slog"
	"sync"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// room is a place where people talk.
type room struct {
	name    string // as it was spelled first
	log     *slog.Logger
	members *members
	history *history
	changed func() // called when the number of members has changed

	// saying is held from numbering a message until it is in all outboxes, so that
	// everybody receives messages in order. That waits for the disk, not for clients.
	saying sync.Mutex
}

func newRoom(name string, h *history, log *slog.Logger, changed func()) *room {
	r := &room{name: name, log: log, history: h, changed: changed}
	r.members = newMembers(maxMembers, r.left)
	return r
}

// join adds a connection and returns what it has missed. It receives signals from now
// on: a message may be both in the result and in a signal, but never in neither.
func (r *room) join(c *server.Conn, name string, in Join) (Joined, error) {
	news, err := r.members.join(c, name)
	if err != nil {
		return Joined{}, err
	}
	if news {
		r.tell(r.members.all(name), "joined", Presence{Room: r.name, Name: name, Again: in.Again})
		r.changed()
	}
	out := Joined{Room: r.name, Members: r.members.names()}
	out.Messages, out.Earlier = r.history.after(in.After)
	return out, nil
}

// left tells the others that somebody has left.
func (r *room) left(name string) {
	r.tell(r.members.all(name), "left", Presence{Room: r.name, Name: name})
	r.changed()
}

// say stores a message and sends it to everybody in the room. If there is a message with
// its id, say returns that one.
func (r *room) say(m Message) (Message, error) {
	r.saying.Lock()
	defer r.saying.Unlock()
	m.Room = r.name
	m, fresh, err := r.history.append(m)
	if err != nil || !fresh {
		return m, err
	}
	r.tell(r.members.all(""), "message", m)
	return m, nil
}

// tell sends a signal. A slow consumer is disconnected; it asks for what it has missed
// after reconnecting.
func (r *room) tell(to connSeq, name string, v any) {
	p, err := protocol.JSON(v)
	if err == nil {
		_, err = server.Broadcast(to, name, p)
	}
	if err != nil {
		r.log.Error("chatroom: signal cannot be composed", "signal", name, "error", err)
	}
}

// idle reports whether the room can be forgotten.
func (r *room) idle() bool { return r.members.count() == 0 && r.history.empty() }
