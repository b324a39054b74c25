package link

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// wire is a transport.Conn whose every step is the test's to decide.
type wire struct {
	gate  chan struct{} // each Write takes one before it writes; nil: Writes pass
	input chan [][]byte // what arrives together
	rest  [][]byte      // of that, not yet read
	slow  time.Duration // that Close takes

	mu      sync.Mutex
	batches [][]string // what each Write wrote
	fail    error      // of the next Writes
	closes  []transport.Status
	aborts  int // before a Close was over, or without one
	closing bool

	over chan struct{}
	once sync.Once
}

func newWire() *wire {
	return &wire{input: make(chan [][]byte, 1<<10), over: make(chan struct{})}
}

func (w *wire) Read([]byte) ([]byte, error) {
	for len(w.rest) == 0 {
		select {
		case w.rest = <-w.input:
		case <-w.over:
			return nil, net.ErrClosed
		}
	}
	next := w.rest[0]
	w.rest = w.rest[1:]
	return next, nil
}

func (w *wire) Buffered() bool { return len(w.rest) > 0 }

// arrive has Read return the messages, which arrive together.
func (w *wire) arrive(msgs ...[]byte) { w.input <- msgs }

func (w *wire) Write(msgs ...[]byte) error {
	var batch []string
	for _, m := range msgs {
		batch = append(batch, string(m))
	}
	if w.gate != nil {
		select {
		case <-w.gate:
		case <-w.over:
			return net.ErrClosed
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return w.fail
	}
	w.batches = append(w.batches, batch)
	return nil
}

func (w *wire) written() [][]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([][]string(nil), w.batches...)
}

func (w *wire) Ping() error { return nil }

func (w *wire) Close(s transport.Status, _ string) error {
	w.mu.Lock()
	first := len(w.closes) == 0
	w.closes = append(w.closes, s)
	w.closing = first
	w.mu.Unlock()
	if first {
		select {
		case <-time.After(w.slow):
		case <-w.over:
		}
		w.mu.Lock()
		w.closing = false
		w.mu.Unlock()
		w.end()
	}
	return nil
}

func (w *wire) Abort() error {
	w.mu.Lock()
	if w.closing || len(w.closes) == 0 {
		w.aborts++
	}
	w.mu.Unlock()
	w.end()
	return nil
}

func (w *wire) end() { w.once.Do(func() { close(w.over) }) }

func (w *wire) LocalAddr() net.Addr  { return nil }
func (w *wire) Protocol() string     { return "" }
func (w *wire) RemoteAddr() net.Addr { return nil }

// config is what most tests start from.
func config(conn transport.Conn) Config {
	return Config{Conn: conn, Version: protocol.V1_2, Limits: &Limits{
		OutboxSize: 1 << 20, WriteTimeout: transport.DefaultWriteTimeout, KeepAlive: time.Hour,
		Tasks: tasks.Limits{Concurrency: 64, Budget: 1 << 20},
	}}
}

// running is a Link at work.
type running struct {
	*Link
	reason chan error // what Run returned
}

// run starts a link and ends it with the test.
func run(t *testing.T, conf Config, role Role) *running {
	t.Helper()
	conf.Role = role
	l := &running{New(context.Background(), conf), make(chan error, 1)}
	go func() { l.reason <- l.Run() }()
	t.Cleanup(func() {
		l.Abort(errTestOver)
	})
	return l
}

var errTestOver = errors.New("the test is over")

// signal returns a signal of 2 bytes, its name and its payload.
func signal(name, text string) protocol.Message {
	return protocol.Message{Kind: protocol.Signal, Name: name, Payload: protocol.Text(text)}
}

func request(text string) protocol.Message {
	return protocol.Message{Kind: protocol.Request, Payload: protocol.Text(text)}
}

// ignoring is a Role that drops everything.
type ignoring struct{}

func (ignoring) Receive(protocol.Message)          {}
func (ignoring) Malformed(protocol.Message, error) {}
func (ignoring) Overflow()                         {}

// answering is the Role of an end that answers requests with their payload.
type answering struct {
	link *Link
	hold chan struct{} // if not nil, answers wait until it is closed
}

func (a *answering) Receive(m protocol.Message) {
	if m.Kind == protocol.Request {
		m = m.Clone(nil)
		a.link.Go(Cost(m), task(func() {
			if a.hold != nil {
				<-a.hold
			}
			_ = a.link.Send(context.Background(), protocol.Message{Kind: protocol.Reply, ID: m.ID, Payload: m.Payload})
		}))
	}
}

func (a *answering) Malformed(protocol.Message, error) {}
func (a *answering) Overflow()                         {}

// pair returns a link whose requests another one answers.
func pair(t *testing.T, conf Config) (asks *running, answers *answering) {
	t.Helper()
	a, b := memory.Pipe()
	other := config(b)
	answers = &answering{}
	other.Role = answers
	answers.link = New(context.Background(), other)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = answers.link.Run()
	}()
	conf.Conn = a
	asks = run(t, conf, ignoring{})
	return asks, answers
}

// task is a Task whose panics the test does not expect.
type task func()

func (t task) Run()                     { t() }
func (t task) Panicked(v any, s []byte) { panic(string(s)) }

// watched is a Task that may end badly.
type watched struct {
	run      func()
	panicked func(value any)
}

func (w watched) Run()                     { w.run() }
func (w watched) Panicked(v any, _ []byte) { w.panicked(v) }
