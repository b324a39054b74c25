package transporttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// Faults is a network that fails on demand. It wraps both ends of the connections of any
// transport. Connections can then be cut, lose, delay or corrupt messages, and attempts to
// connect can be refused:
//
//	faults := transporttest.NewFaults(1)
//	listener := memory.Listen()
//	go srv.Serve(faults.Listener(listener))
//	c := client.New(faults.Dialer(listener), client.Options{})
//	...
//	faults.Conns()[0].Cut()
//
// Both ends must be wrapped, because the wrappers mark their messages to distinguish them from
// pings of their own, which are lost with the messages.
//
// Random decisions depend only on the seed. Faults blocks only on channels and timers, so
// it works in testing/synctest bubbles if the transport does. Its methods may be called
// concurrently.
type Faults struct {
	mu       sync.Mutex
	rand     *rand.Rand
	conns    []*FaultConn // that have not ended, in the order in which they were wrapped
	all      map[*FaultConn]struct{}
	refusals []Refusal
	pumps    sync.WaitGroup
}

// NewFaults returns a network that has no faults until methods of it or of its connections
// are called. The seed determines all random decisions.
func NewFaults(seed uint64) *Faults {
	return &Faults{rand: rand.New(rand.NewPCG(seed, 0)), all: make(map[*FaultConn]struct{})}
}

// Conns returns the wrapped ends of connections that have not ended, in the order in which
// they were made.
func (f *Faults) Conns() []*FaultConn {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.conns)
}

// Wrap wraps one end of a connection that was made with these limits. The other end must be
// wrapped too. The wrapper applies the read timeout itself. So that the connection does not,
// it must be a transport.SilenceAllower or have a long read timeout.
func (f *Faults) Wrap(conn transport.Conn, limits transport.Limits) *FaultConn {
	if s, ok := transport.As[transport.SilenceAllower](conn); ok {
		s.AllowSilence()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := &FaultConn{
		faults:   f,
		inner:    conn,
		limits:   limits.WithDefaults(),
		rand:     rand.New(rand.NewPCG(f.rand.Uint64(), f.rand.Uint64())),
		ended:    make(chan struct{}),
		released: make(chan struct{}),
		arrived:  make(chan struct{}, 1),
		taken:    make(chan struct{}, 1),
	}
	f.conns = append(f.conns, c)
	f.all[c] = struct{}{}
	return c
}

// Close cuts all connections and waits until their goroutines have ended. Call it at the end
// of a test: an end whose messages are lost otherwise remains until its peer has timed out.
func (f *Faults) Close() {
	f.mu.Lock()
	var all []*FaultConn
	for c := range f.all {
		all = append(all, c)
	}
	f.mu.Unlock()
	for _, c := range all {
		c.Cut()
	}
	f.pumps.Wait()
}

// forget takes an end that is over out of Conns; gone says that nothing is left
// of it at all.
func (f *Faults) forget(c *FaultConn, gone bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.conns, c); i >= 0 {
		f.conns = slices.Delete(f.conns, i, i+1)
	}
	if gone {
		delete(f.all, c)
	}
}

// A Refusal is called in place of a Dial and returns the error of the Dial.
type Refusal func(ctx context.Context) error

// Refused is the Refusal of a host on which nothing listens.
func Refused(context.Context) error {
	return fmt.Errorf("transporttest: dial: %w", syscall.ECONNREFUSED)
}

// Hanging is the Refusal of a network that never answers: it waits until the context ends.
func Hanging(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// Unavailable returns the Refusal of a server that answers with status 503 and a Retry-After
// header. Zero: no such header.
func Unavailable(retryAfter time.Duration) Refusal { return Answering(503, retryAfter) }

// Answering returns the Refusal of a server that answers with an HTTP status and a
// Retry-After header. Zero: no such header.
func Answering(statusCode int, retryAfter time.Duration) Refusal {
	return func(context.Context) error {
		return &transport.RefusedError{StatusCode: statusCode, RetryAfter: retryAfter}
	}
}

// Refuse makes the next calls of Dial fail, one for each refusal, after those of earlier
// calls of Refuse.
func (f *Faults) Refuse(how ...Refusal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refusals = append(f.refusals, how...)
}

func (f *Faults) refusal() Refusal {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.refusals) == 0 {
		return nil
	}
	r := f.refusals[0]
	f.refusals = f.refusals[1:]
	return r
}

// Dialer returns a Dialer that wraps the connections made by d and fails as [Faults.Refuse]
// demands. It is a transport.Prober if d is one.
func (f *Faults) Dialer(d transport.Dialer) transport.Dialer {
	if p, ok := d.(transport.Prober); ok {
		return &faultyProber{faultyDialer{f, d}, p}
	}
	return &faultyDialer{f, d}
}

type faultyDialer struct {
	faults *Faults
	inner  transport.Dialer
}

func (d *faultyDialer) Dial(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
	if refuse := d.faults.refusal(); refuse != nil {
		return nil, refuse(ctx)
	}
	conn, err := d.inner.Dial(ctx, opts)
	if err != nil {
		return nil, err
	}
	return d.faults.Wrap(conn, opts.Limits), nil
}

type faultyProber struct {
	faultyDialer
	transport.Prober
}

// Listener returns a Listener that wraps the connections accepted by ln.
func (f *Faults) Listener(ln transport.Listener) transport.Listener {
	return &faultyListener{ln, f}
}

type faultyListener struct {
	transport.Listener
	faults *Faults
}

func (l *faultyListener) Accept(opts transport.AcceptOptions) (transport.Conn, error) {
	conn, err := l.Listener.Accept(opts)
	if err != nil {
		return nil, err
	}
	return l.faults.Wrap(conn, opts.Limits), nil
}
