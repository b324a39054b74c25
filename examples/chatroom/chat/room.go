package chat

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// room is a place where people talk. All that happens there is published on its topic, whose
// members are the connections of its people: they get it as signals. So do those of whoever
// does something; their clients know their own name.
type room struct {
	name    string // as it was spelled first
	log     *slog.Logger
	people  people
	history *history

	// saying is held from numbering a message until it is published, so that everybody
	// receives messages in order. That waits for the disk, not for clients.
	saying sync.Mutex
}

func newRoom(name string, topic server.Topic, h *history, log *slog.Logger, changed func()) *room {
	r := &room{name: name, log: log, history: h}
	r.people = people{topic: topic, changed: changed, tell: func(signal, who string, again bool) {
		r.tell(signal, Presence{Room: name, Name: who, Again: again})
	}}
	return r
}

// join adds a connection and returns what it has missed. It receives signals from now
// on: a message may be both in the result and in a signal, but never in neither.
func (r *room) join(ctx context.Context, c *server.Conn, name string, in Join) (Joined, error) {
	if err := r.people.join(ctx, c, name, in.Again); err != nil {
		return Joined{}, err
	}
	out := Joined{Room: r.name, Members: r.people.names()}
	out.Messages, out.Earlier = r.history.after(in.After)
	return out, nil
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
	r.tell("message", m)
	return m, nil
}

func (r *room) tell(signal string, v any) { tell(r.people.topic, signal, v, r.log) }

// tell publishes a signal. A slow consumer is disconnected; it asks for what it has missed
// after reconnecting.
func tell(to server.Topic, signal string, v any, log *slog.Logger) {
	p, err := protocol.JSON(v)
	if err == nil {
		_, err = to.Publish(context.Background(), signal, p)
	}
	if err != nil && !errors.Is(err, engine.ErrClosed) && !errors.Is(err, server.ErrServerClosed) {
		log.Error("chatroom: cannot publish", "signal", signal, "error", err)
	}
}

// idle reports whether the room can be forgotten.
func (r *room) idle() bool { return r.people.count() == 0 && r.history.empty() }
