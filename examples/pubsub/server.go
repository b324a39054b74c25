package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

// running is a server that has been started.
type running struct {
	addr   string
	srv    *server.Server
	web    *http.Server
	served chan error
}

func start(addr string) (*running, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	b := &broker{}
	b.srv = server.New(server.Options{
		Upgrader:       &websocket.Upgrader{},
		Handler:        b.mux(),
		Topics:         topicOptions,
		Hooks:          server.Hooks{OnSubscribe: maySubscribe},
		MaxMessageSize: 1 << 20,
	})
	s := &running{addr: ln.Addr().String(), srv: b.srv, served: make(chan error, 1)}
	s.web = &http.Server{Handler: s.srv, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	go func() { s.served <- s.web.Serve(ln) }()
	return s, nil
}

// stop shuts the server down gracefully.
func (s *running) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := errors.Join(s.srv.Shutdown(ctx), s.web.Shutdown(ctx))
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
