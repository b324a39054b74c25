package chat

import (
	"context"
	"errors"
	"net"

	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
)

// signIn creates a session for a name that is free.
func (c *Chat) signIn(ctx context.Context, r *server.Request, in SignIn) (SignIn, error) {
	name, err := cleanName(in.Name)
	if err != nil {
		return SignIn{}, err
	}
	if mine, err := c.user(r.Conn); err == nil && mine == name {
		return SignIn{Name: mine}, nil
	}
	if !c.signIns.allow(host(r.Conn)) {
		return SignIn{}, ErrTooFast
	}
	if _, err := r.Conn.CreateSession(ctx, SignIn{Name: name}); err != nil {
		return SignIn{}, err
	}
	return SignIn{Name: name}, nil
}

func host(conn *server.Conn) string {
	addr := conn.Info().RemoteAddr.String()
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return addr
}

// user returns the name of the user of a connection.
func (c *Chat) user(conn *server.Conn) (string, error) {
	s, ok := conn.Session()
	if !ok {
		return "", ErrSignedOut
	}
	return c.holder(s)
}

// owner returns the name in the session of a connection, or in that which it had when it
// ended.
func owner(conn *server.Conn) (name string, ok bool) {
	s, ok := conn.Session()
	if !ok {
		return "", false
	}
	info, err := session.InfoAs[SignIn](s)
	return info.Name, err == nil
}

func (c *Chat) holder(s session.Session) (string, error) {
	info, err := session.InfoAs[SignIn](s)
	if err != nil {
		return "", err
	}
	ok, err := c.names.use(info.Name, s.Key)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", ErrSignedOut
	}
	return info.Name, nil
}

// sessionCreated gives the new session its name. If the name is taken, the session is
// not created and the client receives the error.
func (c *Chat) sessionCreated(_ context.Context, _ *server.Conn, s session.Session) error {
	info, err := session.InfoAs[SignIn](s)
	if err != nil {
		return err
	}
	return c.names.claim(info.Name, s.Key)
}

// sessionLookup refuses a session that has lost its name.
func (c *Chat) sessionLookup(_ context.Context, _ *server.Conn, s session.Session) (session.Session, error) {
	_, err := c.holder(s)
	if errors.Is(err, ErrSignedOut) {
		err = session.ErrNotFound
	}
	return s, err
}

// sessionClosed removes the user from all rooms, then frees the name.
func (c *Chat) sessionClosed(_ context.Context, key string) error {
	name, ok := c.names.closing(key)
	if !ok {
		return nil
	}
	for conn := range c.Server.SessionConns(key) {
		c.signedOut(conn, name)
	}
	for _, r := range c.rooms.all() {
		r.people.look(name, 0) // the last connection may be lost already
	}
	return c.names.free(key)
}
