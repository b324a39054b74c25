package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// dial connects to ln.
func dial(t *testing.T, ln *memory.Listener, v protocol.Version) *peer {
	t.Helper()
	conn, err := ln.Dial(t.Context(), transport.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, conn: conn, version: v}
	p.listen()
	t.Cleanup(func() { conn.Abort() })
	return p
}

func TestServe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{Hooks: server.Hooks{OnRequest: echo}})
		ln, v2 := memory.Listen(), memory.Listen()
		served := make(chan error, 2)
		go func() { served <- srv.Serve(ln) }()
		go func() {
			served <- srv.Endpoint(server.EndpointOptions{Version: protocol.V2_0, MaxMessageSize: 5000}).Serve(v2)
		}()
		for range 3 {
			p := dial(t, ln, protocol.V1_2)
			p.request(1, "", "hello")
			p.reply(1, protocol.Reply)
		}
		p := dial(t, v2, protocol.V2_0)
		if conf, err := p.receive().Conf(); err != nil || conf.MessageSize != 5000 || conf.Version != protocol.V2_0 {
			t.Errorf("got %+v, %v", conf, err)
		}
		p.request(1, "", "hello")
		p.reply(1, protocol.Reply)
		if n := len(slices.Collect(srv.Conns())); n != 4 {
			t.Errorf("%d connections", n)
		}
		for range srv.Conns() {
			break // iteration may end early
		}
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-served; err != server.ErrServerClosed {
				t.Error(err)
			}
		}
		if _, err := ln.Dial(t.Context(), transport.DialOptions{}); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("the listener is open: %v", err)
		}
		late := memory.Listen()
		if err := srv.Serve(late); !errors.Is(err, server.ErrServerClosed) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
		if _, err := late.Dial(t.Context(), transport.DialOptions{}); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("the listener that came late is open: %v", err)
		}
	})
}

// failing is a Listener whose Accept fails now and then.
type failing struct {
	*memory.Listener
	errs chan error
}

func (l failing) Accept(opts transport.AcceptOptions) (transport.Conn, error) {
	select {
	case err := <-l.errs:
		return nil, err
	default:
		return l.Listener.Accept(opts)
	}
}

// That there are too many open files for the moment does not end a server.
func TestServeGoesOnAfterPassingErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log record
		srv := server.New(server.Options{Logger: log.logger(), Hooks: server.Hooks{OnRequest: echo}})
		ln := failing{memory.Listen(), make(chan error, 3)}
		for range 3 {
			ln.errs <- &net.OpError{Op: "accept", Err: syscall.EMFILE}
		}
		served := make(chan error, 1)
		began := time.Now()
		go func() { served <- srv.Serve(ln) }()
		p := dial(t, ln.Listener, protocol.V1_2)
		if took := time.Since(began); took != (5+10+20)*time.Millisecond {
			t.Errorf("accepted after %v", took)
		}
		p.request(1, "", "x")
		p.reply(1, protocol.Reply)
		if n := strings.Count(log.take(), "level=WARN"); n != 1 { // one each second
			t.Errorf("%d warnings", n)
		}
		srv.Close()
		<-served
	})
}

// A pause after an error of Accept does not hold up the end of the server.
func TestServeEndsDuringPause(t *testing.T) {
	for name, end := range map[string]func(*server.Server) error{
		"Close":    (*server.Server).Close,
		"Shutdown": func(srv *server.Server) error { return srv.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				srv := server.New(server.Options{Logger: discard})
				ln := failing{memory.Listen(), make(chan error, 100)}
				for range cap(ln.errs) {
					ln.errs <- &net.OpError{Op: "accept", Err: syscall.EMFILE}
				}
				served := make(chan error, 1)
				go func() { served <- srv.Serve(ln) }()
				time.Sleep(time.Minute) // the pauses take a second each by now
				began := time.Now()
				if err := end(srv); err != nil {
					t.Error(err)
				}
				if err := <-served; err != server.ErrServerClosed {
					t.Errorf("got %v", err)
				}
				if took := time.Since(began); took > 0 {
					t.Errorf("Serve returned %v later", took)
				}
			})
		})
	}
}

// An error that stays is returned at once, whatever the connections do.
func TestServeReturnsFinalErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{Hooks: server.Hooks{OnRequest: echo}})
		ln := failing{memory.Listen(), make(chan error, 1)}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(ln) }()
		p := dial(t, ln.Listener, protocol.V1_2)
		synctest.Wait()
		ln.errs <- io.ErrUnexpectedEOF
		q := dial(t, ln.Listener, protocol.V1_2)
		if err := <-served; err != io.ErrUnexpectedEOF {
			t.Errorf("got %v", err)
		}
		if _, err := ln.Dial(t.Context(), transport.DialOptions{}); err == nil {
			t.Error("the listener is open")
		}
		for _, p := range []*peer{p, q} {
			p.request(1, "", "x")
			p.reply(1, protocol.Reply)
		}
		srv.Close()
	})
}

func TestServeConn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{})
		p := connect(t, srv, protocol.V1_2)
		p.conn.Close(4242, "done")
		var closed *transport.CloseError
		if err := p.wait(); !errors.As(err, &closed) || closed.Status != 4242 || closed.Reason != "done" || closed.Local {
			t.Errorf("got %v", err)
		}

		p = connect(t, srv, protocol.V1_2)
		p.conn.Abort()
		if err := p.wait(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}

		// Its context bounds the connection, and says why it ended.
		why := errors.New("the user left")
		ctx, cancel := context.WithCancelCause(context.Background())
		p = connectDeaf(t, ctx, srv, protocol.V1_2)
		p.listen()
		p.quiet()
		cancel(why)
		if _, err := p.over(); err != why {
			t.Errorf("got %v", err)
		}

		for _, unspoken := range []protocol.Version{0x0900, 0x0301} {
			p = connectDeaf(t, context.Background(), server.New(server.Options{Version: unspoken}), protocol.V1_2)
			if err := p.wait(); !errors.Is(err, server.ErrVersion) {
				t.Errorf("%v: got %v", unspoken, err)
			}
		}
		if _, err := p.conn.Read(nil); err == nil {
			t.Error("the connection is open")
		}

		srv.Close()
		p = connectDeaf(t, context.Background(), srv, protocol.V1_2)
		if err := p.wait(); err != server.ErrServerClosed {
			t.Errorf("got %v", err)
		}
		if _, err := p.conn.Read(nil); !errors.As(err, &closed) || closed.Status != transport.StatusGoingAway {
			t.Errorf("got %v", err)
		}
	})
}

// The two ways in which the server ends one connection.
func TestConnCloseAndAbort(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		reasons := make(chan error, 10)
		srv := server.New(server.Options{Hooks: server.Hooks{
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				<-release
				return r.Payload, nil
			},
			OnClientDisconnected: func(_ *server.Conn, reason error) { reasons <- reason },
		}})
		p := connect(t, srv, protocol.V1_2)
		p.request(1, "", "begun")
		c := grab(t, srv)
		c.Close(transport.StatusNormalClosure, "")
		c.Close(transport.StatusNormalClosure, "")
		p.request(2, "", "late")
		p.reply(2, protocol.ReplyShutdown)
		p.signal("late", "x")
		p.quiet()
		close(release)
		p.reply(1, protocol.Reply)
		ours, theirs := p.over()
		var closed *transport.CloseError
		if !errors.As(ours, &closed) || closed.Status != transport.StatusNormalClosure || theirs != server.ErrConnClosed {
			t.Errorf("got %v and %v", ours, theirs)
		}

		p = connect(t, srv, protocol.V1_2)
		c = grab(t, srv)
		c.Abort()
		c.Abort()
		if ours, theirs := p.over(); errors.As(ours, &closed) || theirs != server.ErrConnClosed {
			t.Errorf("got %v and %v", ours, theirs)
		}
		for range 2 {
			if reason := <-reasons; reason != server.ErrConnClosed {
				t.Errorf("OnClientDisconnected was told %v", reason)
			}
		}
		if len(reasons) > 0 {
			t.Error("OnClientDisconnected was called too often")
		}
	})
}

// foreign is a context of a type of one's own: whoever derives one from it that can be
// cancelled has a goroutine until it is.
type foreign struct {
	context.Context
	done chan struct{}
}

func (f foreign) Done() <-chan struct{} { return f.done }

// A connection that came too late leaves nothing behind while its context goes on.
func TestRefusedConnLeavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) { // fails if a goroutine is left
		srv := server.New(server.Options{Logger: discard})
		srv.Close()
		ours, theirs := memory.Pipe()
		defer ours.Abort()
		ctx := foreign{context.Background(), make(chan struct{})}
		if err := srv.ServeConn(ctx, theirs); err != server.ErrServerClosed {
			t.Error(err)
		}
	})
}
