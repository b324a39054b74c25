package server_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// bubble runs a test in virtual time.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		// Connections that end with the test may take a moment for that, in which time must go on.
		t.Cleanup(func() { time.Sleep(time.Second) })
		test(t)
	})
}

// peer is the client's end of a connection, without a client: the test decides
// what is sent, and sees every message.
type peer struct {
	t       *testing.T
	conn    transport.Conn
	version protocol.Version
	ended   chan error            // what ServeConn returned
	got     chan protocol.Message // closed with the connection; nil of a deaf peer
	lost    error                 // why the connection ended, once got is closed
}

// connect makes a connection to srv that speaks v, which must be what the server
// speaks to those who negotiate nothing.
func connect(t *testing.T, srv *server.Server, v protocol.Version) *peer {
	t.Helper()
	p := connectDeaf(t, context.Background(), srv, v)
	p.listen()
	return p
}

// connectDeaf is connect for a peer that does not read until it is told to listen.
func connectDeaf(t *testing.T, ctx context.Context, srv *server.Server, v protocol.Version) *peer {
	t.Helper()
	return connectWith(t, ctx, srv, v, transport.Limits{})
}

// connectWith is connectDeaf for a peer with limits of its own.
func connectWith(t *testing.T, ctx context.Context, srv *server.Server, v protocol.Version, ours transport.Limits) *peer {
	t.Helper()
	return attach(t, v, ours, srv.AcceptOptions(), func(conn transport.Conn) error { return srv.ServeConn(ctx, conn) })
}

// dialEndpoint is connect for an endpoint.
func dialEndpoint(t *testing.T, e *server.Endpoint, v protocol.Version) *peer {
	t.Helper()
	p := attach(t, v, transport.Limits{}, e.AcceptOptions(), func(conn transport.Conn) error { return e.ServeConn(context.Background(), conn) })
	p.listen()
	return p
}

func attach(t *testing.T, v protocol.Version, limits transport.Limits, accept transport.AcceptOptions, serve func(transport.Conn) error) *peer {
	t.Helper()
	ours, theirs := pair(t, limits, accept)
	p := &peer{t: t, conn: ours, version: v, ended: make(chan error, 1)}
	go func() {
		reason := error(nil)
		defer func() { p.ended <- reason }() // after runtime.Goexit too
		reason = serve(theirs)
	}()
	t.Cleanup(func() { p.conn.Abort() })
	if manners.Of(v).Hello {
		p.hello(accept.Limits.MaxMessageSize)
	}
	synctest.Wait() // the server counts the connection only after its hello, and 2.0 has none
	return p
}

// hello opens a connection of 3.0 for a client that takes messages of a size.
func (p *peer) hello(size int) {
	p.t.Helper()
	p.send(protocol.HelloBody{MessageSize: size, StreamCredit: 64 << 10, Requests: 16}.Message())
	for _, want := range []protocol.Kind{protocol.AcceptConf, protocol.Welcome} {
		b, err := p.conn.Read(nil)
		if err != nil {
			p.t.Fatal(err)
		}
		if m, err := p.version.Parse(b); err != nil || m.Kind != want {
			p.t.Fatalf("the connection begins with %v, %v, want %v", m.Kind, err, want)
		}
	}
}

// pair returns the two ends of a connection whose dialling end negotiates nothing.
func pair(t *testing.T, limits transport.Limits, accept transport.AcceptOptions) (ours, theirs transport.Conn) {
	t.Helper()
	ln := memory.Listen()
	var accepting sync.WaitGroup
	accepting.Go(func() { theirs, _ = ln.Accept(accept) })
	ours, err := ln.Dial(t.Context(), transport.DialOptions{Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	accepting.Wait()
	return ours, theirs
}

// listen begins to read.
func (p *peer) listen() { p.listenFor(1 << 16) }

// listenFor is listen for no more than so many messages at a time.
func (p *peer) listenFor(room int) {
	p.got = make(chan protocol.Message, room)
	go func() {
		defer close(p.got)
		for {
			b, err := p.conn.Read(nil)
			if err != nil {
				p.lost = err
				return
			}
			m, err := p.version.Parse(b)
			if err != nil {
				p.t.Errorf("server sent %q: %v", b, err)
			}
			if m.Kind == protocol.Ack || m.Kind == protocol.Drain { // they come when they come
				continue
			}
			p.got <- m
		}
	}()
}

func (p *peer) send(m protocol.Message) {
	p.t.Helper()
	b, err := p.version.Append(nil, m)
	if err != nil {
		p.t.Fatal(err)
	}
	p.sendRaw(b)
}

func (p *peer) sendRaw(b []byte) {
	p.t.Helper()
	if err := p.conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) request(id uint64, name, text string) {
	p.t.Helper()
	p.send(protocol.Message{Kind: protocol.Request, ID: protocol.NewID(id), Name: name, Payload: protocol.Text(text)})
}

func (p *peer) signal(name, text string) {
	p.t.Helper()
	p.send(protocol.Message{Kind: protocol.Signal, Name: name, Payload: protocol.Text(text)})
}

// receive returns the next message.
func (p *peer) receive() protocol.Message {
	p.t.Helper()
	select {
	case m, ok := <-p.got:
		if !ok {
			p.t.Fatalf("connection ended: %v", p.lost)
		}
		return m
	case <-time.After(time.Hour):
		p.t.Fatal("nothing arrives")
	}
	panic("unreachable")
}

// reply returns the next message, which must be of the given kind and id.
func (p *peer) reply(id uint64, kind protocol.Kind) protocol.Message {
	p.t.Helper()
	m := p.receive()
	if m.Kind != kind || m.ID.Uint64() != id {
		p.t.Fatalf("got %v to %d (%q), want %v to %d", m.Kind, m.ID.Uint64(), m.Payload.Text(), kind, id)
	}
	return m
}

// quiet fails the test if there is a message.
func (p *peer) quiet() {
	p.t.Helper()
	synctest.Wait()
	select {
	case m, ok := <-p.got:
		p.t.Fatalf("got %v (connected: %v)", m, ok)
	default:
	}
}

// over waits for the end of the connection and returns its reason at both ends.
func (p *peer) over() (ours, theirs error) {
	p.t.Helper()
	if p.got != nil {
		for range p.got { // what was sent before
		}
	}
	return p.lost, p.wait()
}

// wait returns what ServeConn returned.
func (p *peer) wait() error {
	p.t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(time.Hour):
		p.t.Fatal("ServeConn does not return")
	}
	panic("unreachable")
}

// record is where the server logs to.
type record struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(b)
}

// take returns what was logged since the last call.
func (r *record) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := r.buf.String()
	r.buf.Reset()
	return text
}

func (r *record) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(r, nil))
}

// echo is a RequestHandler.
func echo(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil }

// discard is for logs that nobody looks at.
var discard = slog.New(slog.DiscardHandler)
