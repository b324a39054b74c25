package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

const (
	// runGrace is how long after Options.DrainSpread Run waits for handlers.
	runGrace = 30 * time.Second

	// requestTime is for how long a client may take to send the header of a request, and what
	// is left of its body once it has been answered.
	requestTime = 5 * time.Second
)

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
// and five seconds after the handler has returned for what is left of the body. An idle
// connection is closed after a minute. For other limits use an http.Server of your own, and
// shut both servers down when it ends.
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
	web := &http.Server{Handler: limitBodies(h), ReadHeaderTimeout: requestTime, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
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

// limitBodies returns h with a time limit for what it leaves of the body of a request, which
// net/http reads. Else a client that sends less than it announced would hold Run up.
func limitBodies(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		if r.ContentLength == 0 {
			return
		}
		if _, err := w.Write(nil); !errors.Is(err, http.ErrHijacked) {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(requestTime)) // fails if the connection has ended
		}
	})
}
