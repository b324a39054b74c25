package client_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

var discard = slog.New(slog.DiscardHandler)

// bubble runs a test in virtual time.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// serve runs a server until the test ends, and returns where it listens.
func serve(t *testing.T, opts server.Options) (*server.Server, *memory.Listener) {
	t.Helper()
	srv, ln := server.New(opts), memory.Listen()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		srv.Close()
		<-served
	})
	return srv, ln
}

// dial returns a client that is closed when the test ends.
func dial(t *testing.T, d transport.Dialer, opts client.Options) *client.Client {
	t.Helper()
	c := client.New(d, opts)
	t.Cleanup(func() { c.Close() })
	return c
}

// peer is the server's end of a connection, without a server: the test decides
// what is sent.
type peer struct {
	t       *testing.T
	conn    transport.Conn
	version protocol.Version
}

// accept returns the end of the connection that the client is about to make. A client of
// 2.0 or 3.0 gets conf, whose Version need not be set.
func accept(t *testing.T, ln *memory.Listener, v protocol.Version, conf protocol.Conf) *peer {
	t.Helper()
	conn, err := ln.Accept(transport.AcceptOptions{Protocols: []string{v.Token()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Abort() })
	p := &peer{t, conn, v}
	rules := manners.Of(v)
	if rules.Hello {
		welcome(t, conn, conf, 0)
	}
	if rules.Conf {
		conf.Version = v
		p.send(conf.Message())
	}
	return p
}

// welcome opens a connection of 3.0 for the server, which can be resumed for a time.
func welcome(t *testing.T, conn transport.Conn, conf protocol.Conf, window time.Duration) {
	t.Helper()
	conf.Version, conf.StreamCredit, conf.Requests = protocol.V3_0, 64<<10, 1<<16-1
	for _, m := range []protocol.Message{conf.Message(), protocol.WelcomeBody{From: 1, Window: window}.Message()} {
		b, err := protocol.V3_0.Append(nil, m)
		if err == nil {
			err = conn.Write(b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// welcomed returns a client of 3.0 that is connected, and the server's end, which says that the
// connection can be resumed for a time.
func welcomed(t *testing.T, opts client.Options, window time.Duration) (*client.Client, *peer) {
	t.Helper()
	ln := memory.Listen()
	c := dial(t, ln, opts)
	connected := make(chan error, 1)
	go func() { connected <- c.Connect(t.Context()) }()
	conn, err := ln.Accept(transport.AcceptOptions{Protocols: []string{protocol.V3_0.Token()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Abort() })
	welcome(t, conn, protocol.Conf{ReadTimeout: time.Hour}, window)
	if err := <-connected; err != nil {
		t.Fatal(err)
	}
	return c, &peer{t, conn, protocol.V3_0}
}

// heard skips what a client of 3.0 says about the connection itself.
func heard(k protocol.Kind) bool {
	switch k {
	case protocol.Hello, protocol.Ack, protocol.Heartbeat:
		return false
	}
	return true
}

func (p *peer) send(m protocol.Message) {
	p.t.Helper()
	b, err := p.version.Append(nil, m)
	if err == nil {
		err = p.conn.Write(b)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// receive returns the next message.
func (p *peer) receive() protocol.Message {
	p.t.Helper()
	b, err := p.conn.Read(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	m, err := p.version.Parse(b)
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

// reply answers a request with text.
func (p *peer) reply(id protocol.ID, text string) {
	p.t.Helper()
	p.send(protocol.Message{Kind: protocol.Reply, ID: id, Payload: protocol.Text(text)})
}

// outcome is what a request ended with, and when.
type outcome struct {
	reply protocol.Payload
	err   error
	took  time.Duration
}

// begin makes a request in another goroutine.
func begin(ctx context.Context, c *client.Client, name, text string) <-chan outcome {
	done := make(chan outcome, 1)
	began := time.Now()
	go func() {
		reply, err := c.Request(ctx, name, protocol.Text(text))
		done <- outcome{reply, err, time.Since(began)}
	}()
	return done
}

// echo is a RequestHandler.
func echo(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil }
