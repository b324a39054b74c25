package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// pipes is a net.Listener in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// get requests a path, and returns the status and the body.
func (p *pipes) get(path string) (int, string, error) {
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case p.conns <- theirs:
			return ours, nil
		case <-p.closed:
			return nil, net.ErrClosed
		}
	}}
	resp, err := (&http.Client{Transport: tr}).Get("http://pipe" + path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// page is a handler whose page takes some time.
func page(srv *server.Server, d time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/ws", srv)
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(d)
		_, _ = io.WriteString(w, "a page")
	})
	return mux
}

// Run answers what it has begun, on both protocols, and refuses what is new.
func TestRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{Hooks: works()})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ln := newPipes()
		done := make(chan error, 1)
		go func() { done <- srv.Run(ctx, ln, page(srv, 20*time.Second)) }()
		p := connect(t, srv, protocol.V1_2)
		p.request(1, "r", "10s")
		var getting sync.WaitGroup
		getting.Go(func() {
			if status, body, err := ln.get("/page"); err != nil || status != http.StatusOK || body != "a page" {
				t.Errorf("%d %q, %v", status, body, err)
			}
		})
		synctest.Wait()
		start := time.Now()
		stop()
		synctest.Wait()
		if status, _, err := ln.get("/ws"); err != nil || status != http.StatusServiceUnavailable {
			t.Errorf("a new connection gets %d, %v", status, err)
		}
		p.reply(1, protocol.Reply)
		// http.Server.Shutdown looks every half second whether its requests have ended.
		if err, took := <-done, time.Since(start); err != nil || took < 20*time.Second || took > 22*time.Second {
			t.Errorf("Run returns %v after %v", err, took)
		}
		getting.Wait()
		if _, err := ln.Accept(); err == nil {
			t.Error("the listener is open")
		}
	})
}

// What takes too long is cut off.
func TestRunTakesTooLong(t *testing.T) {
	for name, work := range map[string]struct {
		request string
		page    time.Duration
	}{
		"a handler": {"10m", 0},
		"a page":    {"0s", 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				srv := server.New(server.Options{Hooks: works(), DrainSpread: 20 * time.Second})
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				ln := newPipes()
				done := make(chan error, 1)
				go func() { done <- srv.Run(ctx, ln, page(srv, work.page)) }()
				p := connect(t, srv, protocol.V1_2)
				p.request(1, "r", work.request)
				var getting sync.WaitGroup
				getting.Go(func() {
					if _, _, err := ln.get("/page"); (err != nil) != (work.page > 0) {
						t.Errorf("the page: %v", err)
					}
				})
				synctest.Wait()
				start := time.Now()
				stop()
				if err := <-done; !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 50*time.Second {
					t.Errorf("Run returns %v after %v", err, time.Since(start))
				}
				getting.Wait()
				p.wait()
				time.Sleep(10 * time.Minute) // until the handlers have returned
			})
		})
	}
}

// A listener that fails ends the server; nil is the server as the handler.
func TestRunListenerFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{})
		ln := newPipes()
		done := make(chan error, 1)
		go func() { done <- srv.Run(t.Context(), ln, nil) }()
		p := connect(t, srv, protocol.V1_2)
		if status, _, err := ln.get("/anything"); err != nil || status == http.StatusNotFound {
			t.Errorf("%d, %v", status, err)
		}
		ln.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if err := p.wait(); !errors.Is(err, server.ErrServerClosed) {
			t.Errorf("the connection ends with %v", err)
		}
	})
}

// A client of HTTP that does not send the body that it announced does not hold Run up.
func TestRunWithoutBody(t *testing.T) {
	for _, path := range []string{"/ws", "/nothing"} {
		bubble(t, func(t *testing.T) {
			srv := server.New(server.Options{})
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ln := newPipes()
			done := make(chan error, 1)
			go func() { done <- srv.Run(ctx, ln, page(srv, 0)) }()
			ours, theirs := net.Pipe()
			defer ours.Close()
			ln.conns <- theirs
			if _, err := io.WriteString(ours, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			stop()
			var reading sync.WaitGroup
			reading.Go(func() { _, _ = io.Copy(io.Discard, ours) })
			start := time.Now()
			if err := <-done; err != nil || time.Since(start) > 10*time.Second {
				t.Errorf("%s: Run returns %v after %v", path, err, time.Since(start))
			}
			_ = ours.Close()
			reading.Wait()
		})
	}
}
