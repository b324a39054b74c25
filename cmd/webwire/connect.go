package main

import (
	"context"
	"crypto/tls"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/stream"
	"github.com/webwire-go/webwire/transport/websocket"
)

// connection is the flags of all commands that connect to a server.
type connection struct {
	timeout     time.Duration
	versions    []protocol.Version // nil: any
	subProtocol string
	session     string
	json        bool

	header   http.Header
	insecure bool
}

// connectionFlags adds the flags of a connection.
func connectionFlags(flags *flag.FlagSet) *connection {
	c := &connection{header: http.Header{}}
	flags.DurationVar(&c.timeout, "timeout", 10*time.Second, "how long to wait for the connection and the reply")
	flags.BoolVar(&c.json, "json", false, "print JSON, one object a line")
	flags.BoolVar(&c.insecure, "insecure", false, "do not verify the server's certificate")
	flags.StringVar(&c.subProtocol, "subprotocol", "", "`name` of the application's protocol, which servers of 2.0 may require")
	flags.Func("H", "`'Name: value'` of an HTTP header to connect with; may be repeated", func(text string) error {
		name, value, ok := strings.Cut(text, ":")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			return usage("not a header: %q", text)
		}
		c.header.Add(name, strings.TrimSpace(value))
		return nil
	})
	flags.Func("version", "`version` of the protocol to speak; may be repeated, the best first\n(default: all that the server speaks)", func(text string) error {
		v, err := spoken(text)
		c.versions = append(c.versions, v)
		return err
	})
	return c
}

// spoken returns the version of that name, if clients and servers speak it.
func spoken(text string) (protocol.Version, error) {
	var names []string
	for _, v := range protocol.Versions() {
		if v.String() == text {
			return v, nil
		}
		names = append(names, v.String())
	}
	return 0, usage("not one of %s", strings.Join(names, ", "))
}

// sessionFlag adds the flag of commands that use sessions.
func (c *connection) sessionFlag(flags *flag.FlagSet) {
	flags.StringVar(&c.session, "session", "", "`file` that keeps the key of the session between runs")
}

// endpoint is where a server is.
type endpoint struct {
	scheme string   // ws, wss, tcp, tls or unix
	addr   string   // host:port, or the path of the socket
	url    *url.URL // of ws and wss
}

func (e endpoint) webSocket() bool { return e.scheme == "ws" || e.scheme == "wss" }

func parseURL(text string) (endpoint, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		if path == "" {
			return endpoint{}, usage("URL %q has no path", text)
		}
		return endpoint{scheme: "unix", addr: path}, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return endpoint{}, usage("%w", err)
	}
	switch u.Scheme { // as the JavaScript client takes them
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	}
	e := endpoint{scheme: u.Scheme, addr: u.Host, url: u}
	switch u.Scheme {
	case "ws", "wss":
		if u.Hostname() == "" {
			return endpoint{}, usage("URL %q has no host", text)
		}
	case "tcp", "tls":
		if _, _, err := net.SplitHostPort(u.Host); err != nil || u.Path != "" {
			return endpoint{}, usage("URL %q is not %s://host:port", text, u.Scheme)
		}
	default:
		return endpoint{}, usage("URL %q does not begin with ws://, wss://, tcp://, tls:// or unix:", text)
	}
	return e, nil
}

// dialer returns the dialer to an endpoint.
func (c *connection) dialer(e endpoint) (transport.Dialer, error) {
	if len(c.header) > 0 && !e.webSocket() {
		return nil, usage("there are no headers without WebSocket")
	}
	conf := &tls.Config{InsecureSkipVerify: c.insecure} // what -insecure asks for
	switch e.scheme {
	case "tcp":
		return stream.Dialer{Address: e.addr}, nil
	case "tls":
		return stream.Dialer{Address: e.addr, TLS: conf}, nil
	case "unix":
		return stream.Dialer{Network: "unix", Address: e.addr}, nil
	}
	return websocket.Dialer{URL: e.url.String(), Header: c.header, TLS: conf}, nil
}

// options are those of a client that tries to connect once.
func (c *connection) options() client.Options {
	opts := client.Options{
		Versions:           protocol.Versions(),
		SubProtocol:        c.subProtocol,
		Timeout:            c.timeout,
		DialTimeout:        c.timeout,
		DisableAutoconnect: true,
		Logger:             slog.New(slog.DiscardHandler),
	}
	if c.versions != nil {
		opts.Versions = c.versions
	}
	if c.session != "" {
		opts.Keys = client.KeyFile(c.session)
	}
	return opts
}

// client returns a client of the server at a URL.
func (c *connection) client(text string, opts client.Options) (*client.Client, error) {
	if c.timeout <= 0 {
		return nil, usage("-timeout must be positive")
	}
	e, err := parseURL(text)
	if err != nil {
		return nil, err
	}
	d, err := c.dialer(e)
	if err != nil {
		return nil, err
	}
	return client.New(d, opts), nil
}

// connect returns a connected client, and a context that ends after the timeout. The
// caller closes the client and calls stop.
func (c *connection) connect(ctx context.Context, text string) (cl *client.Client, within context.Context, stop func(), err error) {
	cl, err = c.client(text, c.options())
	if err != nil {
		return nil, nil, nil, err
	}
	within, cancel := context.WithTimeout(ctx, c.timeout)
	stop = func() { _ = cl.Close(); cancel() }
	if err := cl.Connect(within); err != nil {
		stop()
		return nil, nil, nil, connectError{err}
	}
	return cl, within, stop, nil
}

// sending are the flags of a command that sends one thing to a server, and what it sends:
// its arguments are URL NAME [PAYLOAD].
type sending struct {
	*connection
	binary bool

	name string
	load protocol.Payload
}

// sendingFlags adds the flags of such a command.
func sendingFlags(flags *flag.FlagSet) *sending {
	s := &sending{connection: connectionFlags(flags)}
	s.sessionFlag(flags)
	flags.BoolVar(&s.binary, "binary", false, "send the payload as binary instead of UTF-8 text")
	return s
}

// open reads the arguments and connects, as connection.connect does.
func (s *sending) open(ctx context.Context, p *program, flags *flag.FlagSet, args []string) (cl *client.Client, within context.Context, stop func(), err error) {
	if args, err = parse(flags, args, 2, 3); err != nil {
		return nil, nil, nil, err
	}
	s.name = args[1]
	if s.load, err = p.argument(args, 2, s.binary); err != nil {
		return nil, nil, nil, err
	}
	return s.connect(ctx, args[0])
}

// argument returns the payload that the arguments from i on name: none, a text, or "-"
// for what is on the standard input.
func (p *program) argument(args []string, i int, binary bool) (protocol.Payload, error) {
	if len(args) <= i {
		return protocol.Payload{}, nil
	}
	data := []byte(args[i])
	if args[i] == "-" {
		var err error
		if data, err = io.ReadAll(p.stdin); err != nil {
			return protocol.Payload{}, err
		}
	}
	if binary {
		return protocol.Bytes(data), nil
	}
	return protocol.Payload{Encoding: protocol.UTF8, Data: data}, nil
}
