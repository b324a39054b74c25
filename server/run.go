package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// runGrace is how long after Options.DrainSpread Run waits for handlers.
const runGrace = 30 * time.Second

// Run serves HTTP on ln until ctx ends, and then shuts down gracefully. Requests go to h, in
// which the server is mounted where clients connect; nil means to the server itself:
//
//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//	defer stop()
//	ln, err := net.Listen("tcp", "localhost:8080")
//	if err != nil {
//		log.Fatal(err)
//	}
//	log.Fatal(srv.Run(ctx, ln, nil))
//
// A client of HTTP may take five seconds for the header of a request, which may have 16 KiB,
// and an idle connection is closed after a minute. For other limits use an http.Server of your
// own, and shut both servers down when it ends.
//
// After ctx has ended Run calls Shutdown and waits until the other HTTP requests have been
// answered, together at most 30 seconds and Options.DrainSpread. It returns nil if that was
// enough, and otherwise drops what is left and returns context.DeadlineExceeded. If ln fails,
// Run closes the server and returns the error. In either case ln is closed, and the server
// cannot be used again.
func (s *Server) Run(ctx context.Context, ln net.Listener, h http.Handler) error {
	if h == nil {
		h = s
	}
	web := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	served := make(chan error, 1)
	go func() { served <- web.Serve(ln) }()
	select {
	case err := <-served:
		return errors.Join(err, s.Close(), web.Close())
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.DrainSpread+runGrace)
	defer cancel()
	err := s.Shutdown(ctx)
	if late := web.Shutdown(ctx); late != nil {
		err = late
		_ = web.Close() // of connections that are cut off
	}
	<-served
	return err
}
