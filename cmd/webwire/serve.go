package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/stream"
	"github.com/webwire-go/webwire/transport/websocket"
)

const serveHelp = `Every request is answered with its own payload, except for these names:

  login    creates a session, with the payload, a JSON object, as its info
  logout   closes the session
  fail     is refused: a payload "CODE text" chooses the error
  sleep    is answered after the payload, a duration such as 2s
  count    streams numbers, up to the payload or without end
  ask      is sent on, as a request, to the client that connected first
  publish  publishes on a topic: the payload is "TOPIC text"

Every signal is sent on to all clients. Clients may subscribe to any topic; it
has a history, and its members are the numbers of the clients.

It runs until it is interrupted; then it lets requests finish and closes the
connections. A second interrupt ends it at once.
`

// shutdownTimeout is how long requests may take after an interrupt.
const shutdownTimeout = 5 * time.Second

func serve(ctx context.Context, p *program, flags *flag.FlagSet, args []string) error {
	var origins []string
	addr := flags.String("addr", "localhost:8080", "`address` to listen at, tcp://HOST:PORT or unix:PATH for byte streams;\nport 0 is any that is free")
	version := protocol.V1_2
	flags.Func("version", "`version` of the protocol for clients that do not negotiate (default 1.2)", func(text string) (err error) {
		version, err = spoken(text)
		return err
	})
	cert := flags.String("cert", "", "`file` of the certificate for TLS, in PEM")
	key := flags.String("key", "", "`file` of its key")
	flags.Func("origin", "`origin` whose pages may connect besides our own, or *; may be repeated", func(text string) error {
		origins = append(origins, text)
		return websocket.Upgrader{Origins: origins}.Check()
	})
	subProtocol := flags.String("subprotocol", "", "`name` of the application's own protocol")
	json := flags.Bool("json", false, "print JSON, one object a line")
	quiet := flags.Bool("quiet", false, "print errors only, to be fast enough for a benchmark")
	if _, err := parse(flags, args, 0, 0); err != nil {
		return err
	}
	conf, err := certificate(*cert, *key)
	if err != nil {
		return err
	}
	l, err := listenAt(*addr, conf)
	if err != nil {
		return err
	}
	defer l.Close()

	in := &inspector{quiet: *quiet, out: newPrinter(p.stdout, *json), conns: map[*server.Conn]int{}}
	in.streams.Stream("count", count)
	in.srv = server.New(server.Options{
		Upgrader:    websocket.Upgrader{Origins: origins},
		Version:     version,
		SubProtocol: *subProtocol,
		Topics:      func(string) server.TopicOptions { return server.TopicOptions{History: true, Presence: true} },
		Hooks:       in.hooks(),
		Logger:      slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	in.out.event(event{Event: "listening", Detail: "at " + l.url()})
	return in.serve(ctx, l)
}

// certificate returns the TLS configuration of two files, or nil if there are none.
func certificate(cert, key string) (*tls.Config, error) {
	if cert == "" && key == "" {
		return nil, nil
	}
	if cert == "" || key == "" {
		return nil, usage("-cert and -key belong together")
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// place is where the server listens.
type place struct {
	net.Listener
	scheme string
}

func (l place) url() string {
	if l.scheme == "unix" {
		return "unix:" + l.Addr().String()
	}
	return l.scheme + "://" + l.Addr().String()
}

func (l place) overHTTP() bool { return strings.HasPrefix(l.scheme, "ws") }

func listenAt(addr string, conf *tls.Config) (place, error) {
	if !strings.Contains(addr, "://") && !strings.HasPrefix(addr, "unix:") {
		addr = "ws://" + addr
	}
	e, err := parseURL(addr)
	if err != nil {
		return place{}, err
	}
	network := "tcp"
	switch e.scheme {
	case "unix":
		network = "unix"
	case "tcp":
		if conf != nil {
			e.scheme = "tls"
		}
	case "ws":
		if conf != nil {
			e.scheme = "wss"
		}
	default:
		if conf == nil {
			return place{}, usage("%s:// needs -cert and -key", e.scheme)
		}
	}
	if _, _, err := net.SplitHostPort(e.addr); err != nil && network == "tcp" {
		return place{}, usage("%w", err)
	}
	l, err := net.Listen(network, e.addr)
	if err != nil {
		return place{}, err
	}
	if conf != nil {
		l = tls.NewListener(l, conf)
	}
	return place{l, e.scheme}, nil
}

// inspector is a server that prints what its clients do.
type inspector struct {
	srv   *server.Server
	out   *printer
	quiet bool

	streams server.Mux

	mu    sync.Mutex
	last  int
	conns map[*server.Conn]int // their numbers
}

// serve serves until ctx ends, and then until requests are done.
func (in *inspector) serve(ctx context.Context, l place) error {
	web := &http.Server{Handler: in.srv, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() {
		if l.overHTTP() {
			served <- web.Serve(l)
		} else {
			served <- in.srv.Serve(stream.NewListener(l))
		}
	}()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	in.out.event(event{Event: "shutting down"})
	ended, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := errors.Join(web.Shutdown(ended), in.srv.Shutdown(ended))
	<-served
	if err != nil {
		return fmt.Errorf("requests were still running after %v", shutdownTimeout)
	}
	return nil
}

// hooks print everything and answer.
func (in *inspector) hooks() server.Hooks {
	return server.Hooks{
		OnClientConnected: func(_ context.Context, c *server.Conn) error {
			in.connected(c)
			return nil
		},
		OnClientDisconnected: in.disconnected,
		OnRequest:            in.request,
		OnSignal:             in.signal,
		OnSubscribe: func(_ context.Context, c *server.Conn, topic string) (any, error) {
			n := in.number(c)
			in.print(event{Conn: n, Event: "subscribed", Name: &topic})
			return n, nil
		},
		OnSessionCreated: func(_ context.Context, c *server.Conn, s protocol.Session) error {
			in.print(event{Conn: in.number(c), Event: "session created", Session: fingerprint(s)})
			return nil
		},
		OnSessionLookup: func(_ context.Context, c *server.Conn, s protocol.Session) (protocol.Session, error) {
			in.print(event{Conn: in.number(c), Event: "session restored", Session: fingerprint(s)})
			return s, nil
		},
		OnSessionClosed: func(_ context.Context, key string) error {
			in.print(event{Event: "session closed", Session: fingerprint(protocol.Session{Key: key})})
			return nil
		},
	}
}

func (in *inspector) number(c *server.Conn) int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.conns[c]
}

func (in *inspector) connected(c *server.Conn) {
	in.mu.Lock()
	in.last++
	n := in.last
	in.conns[c] = n
	in.mu.Unlock()
	info := c.Info()
	detail := fmt.Sprintf("from %v, protocol %v", info.RemoteAddr, info.Version)
	if info.UserAgent != "" {
		detail += ", " + info.UserAgent
	}
	in.print(event{Conn: n, Event: "connected", Detail: detail})
}

func (in *inspector) disconnected(c *server.Conn, reason error) {
	n := in.number(c)
	in.mu.Lock()
	delete(in.conns, c)
	in.mu.Unlock()
	in.print(event{Conn: n, Event: "disconnected", Detail: ending(reason)})
}

func (in *inspector) print(e event) {
	if !in.quiet {
		in.out.event(e)
	}
}

func (in *inspector) signal(_ context.Context, s *server.Signal) {
	in.print(event{Conn: in.number(s.Conn), Event: "signal", Name: &s.Name, Payload: newPayload(s.Payload)})
	in.mu.Lock()
	all := slices.Collect(maps.Keys(in.conns)) // whose connecting was printed
	in.mu.Unlock()
	if _, err := server.Broadcast(slices.Values(all), s.Name, s.Payload); err != nil {
		in.print(event{Event: "not sent to all", Detail: err.Error()})
	}
}

func (in *inspector) request(ctx context.Context, r *server.Request) (protocol.Payload, error) {
	in.print(event{Conn: in.number(r.Conn), Event: "request", Name: &r.Name, Payload: newPayload(r.Payload)})
	got, err := in.answer(ctx, r)
	if err != nil {
		what, detail := "failed", err
		if ctx.Err() != nil {
			what, detail = "ended", whyEnded(ctx)
		} else if protocol.CodeOf(err) != "" {
			what = "refused"
		}
		in.print(event{Conn: in.number(r.Conn), Event: what, Name: &r.Name, Detail: detail.Error()})
	}
	return got, err
}

// whyEnded returns why the context of a handler has ended. The deadline of a request ends
// it at both ends at about the same time.
func whyEnded(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.DeadlineExceeded) {
		return errors.New("the deadline has passed")
	}
	return errors.New(ending(cause))
}

func (in *inspector) answer(ctx context.Context, r *server.Request) (protocol.Payload, error) {
	switch r.Name {
	case "count":
		return in.streams.HandleRequest(ctx, r)
	case "ask":
		first := in.first()
		if first == r.Conn {
			return protocol.Payload{}, &protocol.Error{Code: "NOBODY", Message: "no client connected before this one"}
		}
		return first.Request(ctx, r.Name, r.Payload)
	case "publish":
		topic, text, ok := strings.Cut(r.Payload.Text(), " ")
		if !ok {
			return protocol.Payload{}, &protocol.Error{Code: protocol.CodeBadRequest, Message: `want "TOPIC text"`}
		}
		at, err := in.srv.Topic(topic).Publish(ctx, "text", protocol.Text(text))
		if errors.Is(err, engine.ErrName) {
			err = &protocol.Error{Code: protocol.CodeBadRequest, Message: "the name of a topic has 1 to 255 bytes"}
		}
		return protocol.Text(shown(protocol.Position(at))), err
	}
	return answerTo(ctx, r)
}

// first returns the connection with the lowest number.
func (in *inspector) first() (first *server.Conn) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for c, n := range in.conns {
		if first == nil || n < in.conns[first] {
			first = c
		}
	}
	return first
}

// count streams the numbers up to the payload.
func count(ctx context.Context, r *server.Request, send func(protocol.Payload) error) error {
	last := math.MaxInt
	if text := r.Payload.Text(); text != "" {
		var err error
		if last, err = strconv.Atoi(text); err != nil {
			return &protocol.Error{Code: protocol.CodeBadRequest, Message: "not a number"}
		}
	}
	for i := 1; i <= last; i++ {
		if err := send(protocol.Text(strconv.Itoa(i))); err != nil {
			return err
		}
	}
	return nil
}

func answerTo(ctx context.Context, r *server.Request) (protocol.Payload, error) {
	switch r.Name {
	case "login":
		var info any
		if len(r.Payload.Data) > 0 {
			if err := r.Payload.DecodeJSON(&info); err != nil {
				return protocol.Payload{}, &protocol.Error{Code: protocol.CodeBadRequest, Message: "the info of a session is a JSON object"}
			}
		}
		_, err := r.Conn.CreateSession(ctx, info)
		if errors.Is(err, server.ErrSessionInfo) {
			err = &protocol.Error{Code: protocol.CodeBadRequest, Message: "the info of a session is a JSON object"}
		}
		return protocol.Text("logged in"), err
	case "logout":
		return protocol.Text("logged out"), r.Conn.CloseSession(ctx)
	case "fail":
		code, text, _ := strings.Cut(r.Payload.Text(), " ")
		if code == "" {
			code = "FAILED"
		}
		return protocol.Payload{}, &protocol.Error{Code: code, Message: text}
	case "sleep":
		d, err := time.ParseDuration(r.Payload.Text())
		if err != nil {
			return protocol.Payload{}, &protocol.Error{Code: protocol.CodeBadRequest, Message: "not a duration such as 2s"}
		}
		select {
		case <-time.After(d):
			return r.Payload, nil
		case <-ctx.Done():
			return protocol.Payload{}, ctx.Err()
		}
	}
	return r.Payload, nil
}
