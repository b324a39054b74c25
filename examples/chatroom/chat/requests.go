package chat

import (
	"context"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// mux has the handlers of all requests and signals.
func (c *Chat) mux() *server.Mux {
	var mux server.Mux
	mux.Use(c.pace)
	mux.Request("signin", server.JSON(c.signIn))
	mux.Request("rooms", forMembers(c, c.listRooms))
	mux.Request("join", forMembers(c, c.join))
	mux.Request("leave", forMembers(c, c.leave))
	mux.Request("who", forMembers(c, c.who))
	mux.Request("earlier", forMembers(c, c.earlier))
	mux.Request("say", forMembers(c, c.say))
	mux.Signal("typing", c.typing)
	return &mux
}

// pace refuses the requests of a connection that sends too many.
func (c *Chat) pace(next server.RequestHandler) server.RequestHandler {
	return func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		if !c.calls.allow(r.Conn.Info().RemoteAddr.String()) {
			return protocol.Payload{}, ErrTooFast
		}
		return next(ctx, r)
	}
}

// call is a request of a user who is signed in.
type call struct {
	conn *server.Conn
	name string
}

// forMembers makes a handler that refuses users who are not signed in.
func forMembers[In, Out any](c *Chat, fn func(ctx context.Context, by call, in In) (Out, error)) server.RequestHandler {
	return server.JSON(func(ctx context.Context, r *server.Request, in In) (out Out, err error) {
		name, err := c.user(r.Conn)
		if err != nil {
			return out, err
		}
		return fn(ctx, call{r.Conn, name}, in)
	})
}

// listRooms returns the list of rooms; changes follow as signals.
func (c *Chat) listRooms(ctx context.Context, by call, _ struct{}) ([]Room, error) {
	if err := c.list.Join(ctx, by.conn); err != nil {
		return nil, err
	}
	if err := c.stillIn(by); err != nil {
		return nil, err
	}
	return c.current(), nil
}

func (c *Chat) join(ctx context.Context, by call, in Join) (Joined, error) {
	out, err := c.rooms.join(ctx, by.conn, by.name, in)
	if err == nil {
		err = c.stillIn(by)
	}
	return out, err
}

// stillIn undoes what a connection has joined if the user has signed out meanwhile.
func (c *Chat) stillIn(by call) error {
	_, err := c.user(by.conn)
	if err != nil {
		c.signedOut(by.conn, by.name)
	}
	return err
}

func (c *Chat) leave(_ context.Context, by call, in InRoom) (struct{}, error) {
	if r, ok := c.rooms.find(in.Room); ok {
		r.people.leave(by.conn, by.name)
	}
	return struct{}{}, nil
}

func (c *Chat) who(_ context.Context, by call, in InRoom) ([]string, error) {
	r, err := c.joined(by, in.Room)
	if err != nil {
		return nil, err
	}
	return r.people.names(), nil
}

func (c *Chat) earlier(_ context.Context, by call, in Earlier) (Page, error) {
	r, err := c.joined(by, in.Room)
	if err != nil {
		return Page{}, err
	}
	messages, earlier := r.history.before(in.Before)
	return Page{Messages: messages, Earlier: earlier}, nil
}

func (c *Chat) say(_ context.Context, by call, in Say) (Message, error) {
	r, err := c.joined(by, in.Room)
	if err != nil {
		return Message{}, err
	}
	if err := checkID(in.ID); err != nil {
		return Message{}, err
	}
	text, err := cleanText(in.Text)
	if err != nil {
		return Message{}, err
	}
	if err := c.names.spend(by.name); err != nil {
		return Message{}, err
	}
	return r.say(Message{ID: in.ID, Name: by.name, Text: text})
}

// joined returns the room if the connection is in it.
func (c *Chat) joined(by call, name string) (*room, error) {
	r, ok := c.rooms.find(name)
	if !ok || !r.people.topic.Has(by.conn) {
		return nil, ErrNotInRoom
	}
	return r, nil
}

// typing tells everybody in the room. It ignores errors: the signal is a hint.
func (c *Chat) typing(_ context.Context, s *server.Signal) {
	var in InRoom
	name, err := c.user(s.Conn)
	if err != nil || s.Payload.DecodeJSON(&in) != nil || !c.typings.allow(fold(name)) {
		return
	}
	if r, err := c.joined(call{s.Conn, name}, in.Room); err == nil {
		r.tell("typing", Presence{Room: r.name, Name: name})
	}
}
