package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// host is one server after another, all with the same sessions.
type host struct {
	w    *world
	gate gate

	mu      sync.Mutex
	current *memory.Listener // nil while there is no server
	srv     *server.Server
	all     []*server.Server
	over    bool // no more servers
	names   map[*server.Conn]*peer
	named   int
	met     map[int]*server.Conn // of the requests named meet
	wires   []*wire
	casts   map[*server.Server]*peer // as senders of broadcasts
	serving sync.WaitGroup
}

// peer is a server's connection, as a sender of signals.
type peer struct {
	name string
	turn chan struct{} // held by who sends a signal
	seq  int
	away timeAway
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// disagreements finds the records that say that a connection cannot be resumed: two honest
// ends agree.
type disagreements struct {
	slog.Handler
	w *world
}

func (d disagreements) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "webwire: a connection cannot be resumed" && !d.w.damaging && !d.w.robbed.Load() {
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "error" {
				d.w.h.violated("a connection cannot be resumed: %v", a.Value)
			}
			return true
		})
	}
	return nil
}

// start starts a server, unless there is one, or there shall be none any more.
func (h *host) start() {
	w := h.w
	var mux server.Mux
	mux.Request("*", h.onRequest)
	mux.Stream("count", h.onStream)
	mux.Stream("tail", h.onStream)
	opts := server.Options{
		Hooks: server.Hooks{
			OnClientConnected: func(_ context.Context, c *server.Conn) error {
				w.h.conn(h.peer(c).name, evConnected)
				return nil
			},
			OnClientDisconnected: func(c *server.Conn, err error) {
				w.h.conn(h.peer(c).name, evDisconnected)
				h.peer(c).away.end(w, h.peer(c).name)
				w.wrong(err)
			},
			OnClientAway: func(c *server.Conn, _ error) {
				w.h.conn(h.peer(c).name, evAway)
				h.peer(c).away.begin()
			},
			OnClientBack: func(_ context.Context, c *server.Conn) error {
				w.h.conn(h.peer(c).name, evBack)
				h.peer(c).away.end(w, h.peer(c).name)
				return nil
			},
			OnSignal: h.onSignal,
		},
		Handler:      &mux,
		Sessions:     w.store,
		Version:      w.version,
		Concurrency:  w.concurrency,
		OutboxSize:   w.boxSize,
		InboxSize:    w.boxSize,
		ReadTimeout:  w.readTimeout,
		ResumeWindow: w.window,
		Logger:       slog.New(disagreements{quiet.Handler(), w}),
	}
	if w.change != nil {
		w.change(&opts)
	}
	srv := server.New(opts)
	ln := memory.Listen()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.srv != nil || h.over {
		return
	}
	h.current, h.srv = ln, srv
	h.all = append(h.all, srv)
	faulty := transport.Listener(&gatedListener{w.faults.Listener(ln), &h.gate})
	if w.modern() && !w.damaging {
		faulty = &watchingListener{faulty, w}
	}
	if w.mutate != nil {
		faulty = &mutatingListener{faulty, w}
	}
	h.serving.Go(func() { _ = srv.Serve(faulty) }) // it ends when the world wants it to
}

// withdraw makes the host unreachable and returns the server, if there is one.
func (h *host) withdraw() *server.Server {
	h.mu.Lock()
	defer h.mu.Unlock()
	srv := h.srv
	h.current, h.srv = nil, nil
	return srv
}

func (h *host) listener() *memory.Listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.current
}

func (h *host) server() *server.Server {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.srv
}

func (h *host) servers() []*server.Server {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all
}

func (h *host) peer(c *server.Conn) *peer {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.names[c]
	if p == nil {
		h.named++
		p = &peer{name: "conn" + strconv.Itoa(h.named), turn: make(chan struct{}, 1)}
		h.names[c] = p
	}
	return p
}

func (h *host) onSignal(_ context.Context, s *server.Signal) {
	name := h.peer(s.Conn).name
	h.w.h.conn(name, evHandler)
	h.w.h.received(name, parseSignal(s.Payload))
}

// onRequest does what the name of a request says. Its payload begins with the
// request's number, then how long to take, in milliseconds.
func (h *host) onRequest(ctx context.Context, r *server.Request) (protocol.Payload, error) {
	h.w.h.conn(h.peer(r.Conn).name, evHandler)
	payload := string(r.Payload.Data)
	id, ms := -1, 0
	_, err := fmt.Sscanf(payload, "%d %d", &id, &ms)
	if err != nil {
		id = -1
	}
	begun := h.w.h.executed(id, payload)
	defer begun.end(ctx)
	begun.start(ctx, r.Name == "wait")
	switch r.Name {
	case "wait":
		<-ctx.Done()
		return protocol.Payload{}, ctx.Err()
	}
	if ms > 0 && ms < 60_000 {
		h.work(ctx, time.Duration(ms)*time.Millisecond, ms%2 == 0)
	}
	switch r.Name {
	case "fail":
		return protocol.Payload{}, &protocol.Error{Code: "FAILED", Message: payload}
	case "panic":
		panic(payload)
	case "login":
		s, err := r.Conn.CreateSession(ctx, map[string]int{"id": id})
		if err != nil {
			return protocol.Payload{}, &protocol.Error{Code: "LOGIN", Message: "no"}
		}
		return protocol.Bytes([]byte(s.Key)), nil
	case "logout":
		if s, ok := r.Conn.Session(); ok {
			h.w.h.closing(s.Key)
		}
		if err := r.Conn.CloseSession(ctx); err != nil {
			return protocol.Payload{}, &protocol.Error{Code: "LOGOUT", Message: "no"}
		}
	case "whoami":
		s, _ := r.Conn.Session()
		return protocol.Bytes([]byte("key:" + s.Key)), nil
	case "signals":
		for range 3 {
			h.signal(ctx, r.Conn)
		}
	case "ask":
		if _, err := h.ask(ctx, r.Conn, "echo", 1); err != nil {
			return protocol.Payload{}, &protocol.Error{Code: "ASK", Message: "no"}
		}
	case "meet":
		h.mu.Lock()
		h.met[id] = r.Conn
		h.mu.Unlock()
	case "leave":
		r.Conn.Close(transport.StatusNormalClosure, "")
	case "stop":
		h.stopFromInside(ctx, r.Conn)
	}
	return protocol.Bytes([]byte("re: " + payload)), nil
}

// stopFromInside shuts the server down that handles the request, once in a
// schedule, the one way or the other.
func (h *host) stopFromInside(ctx context.Context, c *server.Conn) {
	srv := h.withdraw()
	if srv == nil {
		return
	}
	defer h.start()
	for other := range srv.Conns() {
		if other != c {
			continue
		}
		if h.w.seed%2 == 0 {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		time.AfterFunc(3*time.Second, cancel)
		h.w.within("Shutdown within a handler", 3100*time.Millisecond, func() { _ = srv.Shutdown(ctx) })
		return
	}
	// An older server: nobody is to be left without one.
	h.w.end(srv)
}

func (h *host) work(ctx context.Context, d time.Duration, stubborn bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	if stubborn {
		<-timer.C
		return
	}
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// signal sends the next signal to a client.
func (h *host) signal(ctx context.Context, c *server.Conn) { h.send(ctx, c, 0) }

// send is signal with a payload that is longer.
func (h *host) send(ctx context.Context, c *server.Conn, longer int) {
	p := h.peer(c)
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	p.seq++
	s := signal{p.name, p.seq}
	h.w.h.sending(s)
	if err := c.Signal(ctx, "s", padded(s.payload(), longer)); err != nil {
		h.w.h.refused(s)
	}
}

// cast broadcasts the next signal of a server. It is not called concurrently.
func (h *host) cast(srv *server.Server) signal {
	h.mu.Lock()
	p := h.casts[srv]
	if p == nil {
		p = &peer{name: "cast" + strconv.Itoa(len(h.casts)+1)}
		h.casts[srv] = p
	}
	h.mu.Unlock()
	p.seq++
	s := signal{p.name, p.seq}
	h.w.h.sending(s)
	if _, err := server.Broadcast(srv.Conns(), "s", s.payload()); err != nil {
		h.w.h.violated("Broadcast: %v", err)
	}
	return s
}

func (s signal) payload() protocol.Payload {
	return protocol.Bytes([]byte(s.from + " " + strconv.Itoa(s.seq)))
}

func parseSignal(p protocol.Payload) signal {
	from, seq, _ := strings.Cut(string(p.Data), " ")
	n, err := strconv.Atoi(strings.TrimRight(seq, " "))
	if err != nil {
		n = -1
	}
	return signal{from, n}
}

// mutatingListener is a listener whose connections are changed to be wrong.
type mutatingListener struct {
	transport.Listener
	w *world
}

func (l *mutatingListener) Accept(opts transport.AcceptOptions) (transport.Conn, error) {
	conn, err := l.Listener.Accept(opts)
	if err != nil {
		return nil, err
	}
	return l.w.mutate(l.w.version, conn), nil
}

var errDown = errors.New("sim: the host is down")
