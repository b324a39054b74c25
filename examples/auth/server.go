package main

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport/websocket"
)

// identity is the info of a session: the user and the device. Clients can read it.
type identity struct {
	User   string `json:"user"`
	Device string `json:"device"`
}

// credentials is the argument of register and login.
type credentials struct {
	identity
	Password string `json:"password"`
}

var (
	errSignedOut = &protocol.Error{Code: "SIGNED_OUT", Message: "sign in first"}
	errWrong     = &protocol.Error{Code: "WRONG", Message: "wrong name or password"}
	errTaken     = &protocol.Error{Code: "TAKEN", Message: "this name is taken"}
	errEmpty     = &protocol.Error{Code: "EMPTY", Message: "a name and a password are needed"}
)

// service is a WebWire server with its users and sessions.
type service struct {
	addr  string
	srv   *server.Server
	web   *http.Server
	users *users
	store *session.FileStore
	ended chan error // what web.Serve returned
}

func start(addr, sessions string, u *users) (*service, error) {
	store, err := session.OpenFileStore(sessions, session.FileStoreOptions{MaxAge: 30 * 24 * time.Hour})
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	s := &service{addr: ln.Addr().String(), users: u, store: store, ended: make(chan error, 1)}
	var mux server.Mux
	mux.Request("register", server.JSON(s.register))
	mux.Request("login", server.JSON(s.login))
	mux.Request("whoami", server.JSON(s.whoami))
	mux.Request("devices", server.JSON(s.devices))
	mux.Request("logout", server.JSON(s.logout))
	s.srv = server.New(server.Options{
		Upgrader: &websocket.Upgrader{},
		Sessions: store,
		Handler:  &mux,
		Hooks:    server.Hooks{OnSessionLookup: s.lookup},
	})
	s.web = &http.Server{Handler: s.srv, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	go func() { s.ended <- s.web.Serve(ln) }()
	return s, nil
}

func (s *service) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := errors.Join(s.srv.Shutdown(ctx), s.web.Shutdown(ctx))
	if serveErr := <-s.ended; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return errors.Join(err, s.store.Close())
}

func (s *service) register(ctx context.Context, r *server.Request, in credentials) (identity, error) {
	if in.User == "" || in.Password == "" {
		return identity{}, errEmpty
	}
	if !s.users.register(in.User, in.Password) {
		return identity{}, errTaken
	}
	return s.signIn(ctx, r, in.identity)
}

func (s *service) login(ctx context.Context, r *server.Request, in credentials) (identity, error) {
	if !s.users.check(in.User, in.Password) {
		return identity{}, errWrong
	}
	return s.signIn(ctx, r, in.identity)
}

// signIn gives the connection a session, whose key the client keeps.
func (s *service) signIn(ctx context.Context, r *server.Request, who identity) (identity, error) {
	_, err := r.Conn.CreateSession(ctx, who)
	return who, err
}

func (s *service) whoami(_ context.Context, r *server.Request, _ struct{}) (identity, error) {
	return identify(r.Conn)
}

// devices returns the devices on which the user is signed in and connected.
func (s *service) devices(_ context.Context, r *server.Request, _ struct{}) ([]string, error) {
	who, err := identify(r.Conn)
	if err != nil {
		return nil, err
	}
	names := make(map[string]string) // by session: a device that reconnects may still have its old connection
	for c := range s.srv.Conns() {
		if other, err := identify(c); err == nil && other.User == who.User {
			own, _ := c.Session()
			names[own.Key] = other.Device
		}
	}
	return slices.Sorted(maps.Values(names)), nil
}

// logout signs the user out on all devices. Connected devices learn it at once, the
// others when they connect again.
func (s *service) logout(ctx context.Context, r *server.Request, _ struct{}) (struct{}, error) {
	who, err := identify(r.Conn)
	if err != nil {
		return struct{}{}, err
	}
	s.users.signOut(who.User)
	for c := range s.srv.Conns() {
		if other, failed := identify(c); failed == nil && other.User == who.User {
			err = errors.Join(err, c.CloseSession(ctx))
		}
	}
	return struct{}{}, err
}

// lookup decides whether a stored session is still valid when a client restores it.
func (s *service) lookup(ctx context.Context, _ *server.Conn, found session.Session) (session.Session, error) {
	who, err := session.InfoAs[identity](found)
	if err != nil {
		return found, err
	}
	if !s.users.valid(who.User, found.Created) {
		return found, errors.Join(session.ErrNotFound, s.store.Delete(ctx, found.Key))
	}
	return found, nil
}

func identify(c *server.Conn) (identity, error) {
	s, ok := c.Session()
	if !ok {
		return identity{}, errSignedOut
	}
	return session.InfoAs[identity](s)
}
