package sessions_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// user is what the sessions of these tests know.
type user struct {
	Name string `json:"name"`
	Age  int    `json:"age,omitempty"`
}

var ann = user{Name: "ann", Age: 42}

// eachVersion runs a test with the oldest version and the newest two, in virtual time.
func eachVersion(t *testing.T, test func(t *testing.T, v protocol.Version)) {
	for _, v := range []protocol.Version{protocol.V1_2, protocol.V2_0, protocol.V3_0} {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, v) })
		})
	}
}

// site is a server that can be reached.
type site struct {
	*server.Server
	t       *testing.T
	ln      *memory.Listener
	version protocol.Version
	logged  *log
}

// open starts a server that speaks v and answers the requests of handle.
func open(t *testing.T, v protocol.Version, opts server.Options) *site {
	t.Helper()
	s := &site{t: t, ln: memory.Listen(), version: v, logged: &log{}}
	opts.Version = v
	opts.Logger = debugLogger(s.logged)
	opts.ResumeWindow = -1 // connections end with their sockets
	if opts.Hooks.OnRequest == nil {
		opts.Hooks.OnRequest = handle
	}
	s.Server = server.New(opts)
	served := make(chan error, 1)
	go func() { served <- s.Serve(s.ln) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; !errors.Is(err, server.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
		if st := s.Stats(); st.Open != 0 || st.Sessions != 0 {
			t.Errorf("after the end the server counts %+v", st)
		}
	})
	return s
}

// handle answers login with a session that has the payload as its info, logout
// with its closing, whoami with its info, and drop with nothing: it cuts the line.
func handle(ctx context.Context, r *server.Request) (protocol.Payload, error) {
	switch r.Name {
	case "login":
		_, err := r.Conn.CreateSession(ctx, json.RawMessage(r.Payload.Data))
		return protocol.Payload{}, err
	case "logout":
		return protocol.Payload{}, r.Conn.CloseSession(ctx)
	case "whoami":
		s, ok := r.Conn.Session()
		if !ok {
			return protocol.Text("nobody"), nil
		}
		return protocol.Payload{Encoding: protocol.UTF8, Data: s.Info}, nil
	case "drop":
		r.Conn.Abort()
		return protocol.Payload{}, nil
	}
	return server.NotFound(ctx, r)
}

// client returns a client of the site.
func (s *site) client(opts client.Options) *client.Client {
	s.t.Helper()
	return s.clientOver(s.ln, opts)
}

// piped dials connections of the site that negotiate nothing.
type piped struct{ s *site }

func (p *piped) Dial(context.Context, transport.DialOptions) (transport.Conn, error) {
	near, far := memory.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = p.s.ServeConn(context.Background(), far)
	}()
	p.s.t.Cleanup(func() { near.Abort(); <-served })
	return near, nil
}

// clientOver returns a client of the site that connects with d.
func (s *site) clientOver(d transport.Dialer, opts client.Options) *client.Client {
	opts.Versions = []protocol.Version{s.version}
	if opts.Logger == nil {
		opts.Logger = debugLogger(s.logged)
	}
	c := client.New(d, opts)
	s.t.Cleanup(func() { c.Close() })
	return c
}

// login makes the server create a session for c and returns it as c knows it.
func login(t *testing.T, c *client.Client, u user) session.Session {
	t.Helper()
	if _, err := client.Call[struct{}](t.Context(), c, "login", u); err != nil {
		t.Fatalf("login: %v", err)
	}
	s, ok := c.Session()
	if !ok {
		t.Fatal("no session when the reply to the login is there")
	}
	return s
}

// whoami returns the info of the session that the server has for c, as text.
func whoami(t *testing.T, c *client.Client) string {
	t.Helper()
	p, err := c.Request(t.Context(), "whoami", protocol.Text("?"))
	if err != nil {
		t.Fatalf("whoami: %v", err)
	}
	return p.Text()
}

func wantNobody(t *testing.T, c *client.Client) {
	t.Helper()
	if s, ok := c.Session(); ok {
		t.Errorf("the client has %v", s)
	}
	if c.Status() == client.Connected {
		if got := whoami(t, c); got != "nobody" {
			t.Errorf("the server knows the client as %s", got)
		}
	}
}

// wantUser fails the test unless client and server agree on the session of c.
func wantUser(t *testing.T, c *client.Client, want user) {
	t.Helper()
	s, ok := c.Session()
	if !ok {
		t.Error("the client has no session")
		return
	}
	if got, err := session.InfoAs[user](s); err != nil || got != want {
		t.Errorf("the client's session is of %+v (%v), want %+v", got, err, want)
	}
	var got user
	if text := whoami(t, c); json.Unmarshal([]byte(text), &got) != nil || got != want {
		t.Errorf("the server knows the client as %s, want %+v", text, want)
	}
}

func (s *site) wantConns(key string, want int) {
	s.t.Helper()
	synctest.Wait()
	if got := len(slices.Collect(s.SessionConns(key))); got != want {
		s.t.Errorf("the session has %d connections, want %d", got, want)
	}
}

func (s *site) wantSessions(want int) {
	s.t.Helper()
	synctest.Wait()
	if got := s.Stats().Sessions; got != want {
		s.t.Errorf("%d sessions are active, want %d", got, want)
	}
}

// dropAll cuts all connections.
func (s *site) dropAll() {
	for c := range s.Conns() {
		c.Abort()
	}
	synctest.Wait()
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
}

// code is an error of the application with that code.
func code(c string) error { return &protocol.Error{Code: c} }

// events is what happened, in order.
type events struct {
	mu  sync.Mutex
	all []string
}

func (e *events) add(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, what)
}

// take returns what happened since the last take.
func (e *events) take() []string {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	all := e.all
	e.all = nil
	return all
}

func (e *events) want(t *testing.T, want ...string) {
	t.Helper()
	if got := e.take(); !slices.Equal(got, want) {
		t.Errorf("events are %q, want %q", got, want)
	}
}

// watch returns hooks of a client that note what it is told about its session.
func (e *events) watch(name string) client.Hooks {
	return client.Hooks{
		OnSessionCreated: func(context.Context, session.Session) { e.add(name + " created") },
		OnSessionClosed:  func(context.Context) { e.add(name + " closed") },
	}
}

// log keeps what was logged.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *log) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.buf.Bytes(), []byte(text))
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// debugLogger returns a logger that keeps all it is told.
func debugLogger(l *log) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// within returns a context for what must not take longer, in virtual time.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func wantNone(t *testing.T, c *client.Client) {
	t.Helper()
	if _, ok := c.Session(); ok {
		t.Error("the client has a session")
	}
}

// soak is whether the tests shall take the time that it takes to be sure.
var soak = os.Getenv("WEBWIRE_SOAK") != ""

// rounds returns how often a test tries its luck.
func rounds(soaking, normal, short int) int {
	switch {
	case soak:
		return soaking
	case testing.Short():
		return short
	}
	return normal
}
