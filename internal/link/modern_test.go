package link

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// config3 is what most tests of 3.0 start from.
func config3(conn transport.Conn) Config {
	conf := config(conn)
	conf.Version = protocol.V3_0
	conf.Own = Terms{Requests: 100, StreamCredit: 4096}
	conf.Peer = conf.Own
	return conf
}

// handler handles the requests of a test.
type handler func(ctx context.Context, in *Incoming, m protocol.Message) (protocol.Payload, error)

// handling is a Role of 3.0, as server and client have it.
type handling struct {
	*running
	handle handler

	mu       sync.Mutex
	bad      []error
	got      []protocol.Message // that are no requests
	overflow int
}

type handled struct {
	Incoming
	role *handling
	m    protocol.Message
}

func (h *handling) Receive(m protocol.Message) {
	m = m.Clone(nil)
	if m.Kind != protocol.Request {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got = append(h.got, m)
		return
	}
	in := &handled{role: h, m: m}
	if !h.Serve(&in.Incoming, &m, Cost(m), in) {
		h.Answer(protocol.V3_0.Failure(m.ID, protocol.ErrShutdown))
	}
}

func (in *handled) Run() {
	if !in.Begin() {
		return
	}
	began := in.role.Begin()
	p, err := in.role.handle(in.Context(), &in.Incoming, in.m)
	in.role.Took(began)
	in.End()
	answer := protocol.Message{Kind: protocol.Reply, ID: in.ID(), Payload: p}
	if err != nil {
		answer, _ = in.Failure(err)
	}
	_ = in.role.Send(context.Background(), answer)
}

func (in *handled) Panicked(v any, stack []byte) { panic(fmt.Sprint(v, string(stack))) }

func (h *handling) Malformed(_ protocol.Message, err error) {
	h.mu.Lock()
	h.bad = append(h.bad, err)
	h.mu.Unlock()
	h.Disconnect(transport.StatusProtocolError, "protocol error", err)
}

func (h *handling) Overflow() {
	h.mu.Lock()
	h.overflow++
	h.mu.Unlock()
	h.DisconnectLater(transport.StatusPolicyViolation, "", errTestOver)
}

// held is what a link holds of requests.
type held struct {
	requests, streams int // of the peer
	abandoned, own    int // requests that were given up, and streams
}

func (h *handling) held() (all held) {
	x := h.modern
	x.mu.Lock()
	all.requests, all.streams = int(x.incoming.requests), int(x.incoming.streams)
	x.mu.Unlock()
	h.Link.mu.Lock()
	defer h.Link.mu.Unlock()
	if c := h.state.calls; c != nil {
		all.abandoned, all.own = len(c.abandoned), c.streams
	}
	return all
}

// held returns the number of items that were not taken.
func (f *inflow) held() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.items) - f.first
}

// violation returns how the peer broke the protocol, nil if it did not.
func (h *handling) violation() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return errors.Join(h.bad...)
}

// start runs a link of 3.0 whose requests handle handles.
func start(t testing.TB, conf Config, handle handler) *handling {
	h := &handling{handle: handle}
	conf.Role = h
	h.running = &running{New(context.Background(), conf), make(chan error, 1)}
	if conf.Version >= protocol.V3_0 && conf.Keeping == nil { // then the peer keeps nothing either: there are no acks
		h.NeverResumes()
	}
	go func() { h.reason <- h.Run() }()
	t.Cleanup(func() {
		h.Abort(errTestOver)
		h.reason <- <-h.reason // no goroutine is left
	})
	return h
}

// both returns the two ends of a connection of 3.0. Each change is made to the config of
// both ends.
func both(t testing.TB, a, b handler, change ...func(*Config)) (asks, answers *handling) {
	t.Helper()
	x, y := memory.Pipe()
	first, second := config3(x), config3(y)
	for _, f := range change {
		f(&first)
		f(&second)
	}
	return start(t, first, a), start(t, second, b)
}

// concurrency returns a change of the number of handlers at once.
func concurrency(n int) func(*Config) {
	return func(c *Config) { c.Limits.Tasks.Concurrency = n }
}

// alone returns a link of 3.0 at a wire of the test's.
func alone(t *testing.T, handle handler, change ...func(*Config)) (*handling, *wire) {
	t.Helper()
	w := newWire()
	conf := config3(w)
	for _, f := range change {
		f(&conf)
	}
	return start(t, conf, handle), w
}

// say has a message arrive at the link.
func (w *wire) say(t *testing.T, m protocol.Message) {
	t.Helper()
	b, err := protocol.V3_0.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	w.arrive(b)
}

// said returns the messages that were written.
func (w *wire) said(t *testing.T) (all []protocol.Message) {
	t.Helper()
	for _, batch := range w.written() {
		for _, msg := range batch {
			m, err := protocol.V3_0.Parse([]byte(msg))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
	}
	return all
}

// ask returns a request with the id and the fields.
func ask(id uint64, text string, head protocol.Head) protocol.Message {
	return protocol.Message{Kind: protocol.Request, ID: protocol.NewID(id), Head: head, Payload: protocol.Text(text)}
}

func cancel(id uint64, reason protocol.CancelReason) protocol.Message {
	return protocol.CancelBody{ID: protocol.NewID(id), Reason: reason}.Message()
}

// failed returns the failure that m is.
func failed(t *testing.T, m protocol.Message) protocol.FailureError {
	t.Helper()
	f, err := m.Failure()
	if err != nil {
		t.Fatalf("%v is not a failure", m.Kind)
	}
	return *f
}

func echo(_ context.Context, _ *Incoming, m protocol.Message) (protocol.Payload, error) {
	return m.Payload, nil
}

// wait is a handler that waits for the end of its context.
func wait(ctx context.Context, _ *Incoming, _ protocol.Message) (protocol.Payload, error) {
	<-ctx.Done()
	return protocol.Payload{}, context.Cause(ctx)
}

const long = time.Hour
