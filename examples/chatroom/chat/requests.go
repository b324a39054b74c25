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
func forMembers[In, Out any](c *Chat, fn func(by call, in In) (Out, error)) server.RequestHandler {
	return server.JSON(func(_ context.Context, r *server.Request, in In) (out Out, err error) {
		name, err := c.user(r.Conn)
		if err != nil {
			return out, err
		}
		return fn(call{r.Conn, name}, in)
	})
}

// listRooms returns the list of rooms; changes follow as signals.
func (c *Chat) listRooms(by call, _ struct{}) ([]Room, error) {
	if _, err := c.watchers.join(by.conn, by.name); err != nil {
		return nil, err
	}
	if err := c.stillIn(by, c.watchers); err != nil {
		return nil, err
	}
	return c.list(), nil
}

func (c *Chat) join(by call, in Join) (Joined, error) {
	out, err := c.rooms.join(by.conn, by.name, in)
	if err != nil {
		return Joined{}, err
	}
	if r, ok := c.rooms.find(in.Room); ok {
		err = c.stillIn(by, r.members)
	}
	return out, err
}

// stillIn undoes a join if the user has signed out meanwhile.
func (c *Chat) stillIn(by call, s *members) error {
	_, err := c.user(by.conn)
	if err != nil {
		s.leave(by.conn, true)
	}
	return err
}

func (c *Chat) leave(by call, in InRoom) (struct{}, error) {
	if r, ok := c.rooms.find(in.Room); ok {
		r.members.leave(by.conn, true)
	}
	return struct{}{}, nil
}

func (c *Chat) who(by call, in InRoom) ([]string, error) {
	r, err := c.joined(by, in.Room)
	if err != nil {
		return nil, err
	}
	return r.members.names(), nil
}

func (c *Chat) earlier(by call, in Earlier) (Page, error) {
	r, err := c.joined(by, in.Room)
	if err != nil {
		return Page{}, err
	}
	messages, earlier := r.history.before(in.Before)
	return Page{Messages: messages, Earlier: earlier}, nil
}

func (c *Chat) say(by call, in Say) (Message, error) {
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
	if !ok || !r.members.has(by.conn) {
		return nil, ErrNotInRoom
	}
	return r, nil
}

// typing tells the others in the room. It ignores errors: the signal is a hint.
func (c *Chat) typing(_ context.Context, s *server.Signal) {
	var in InRoom
	name, err := c.user(s.Conn)
	if err != nil || s.Payload.DecodeJSON(&in) != nil || !c.typings.allow(fold(name)) {
		return
	}
	if r, err := c.joined(call{s.Conn, name}, in.Room); err == nil {
		r.tell(r.members.all(name), "typing", Presence{Room: r.name, Name: name})
	}
}
