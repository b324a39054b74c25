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

// Faults is a network that fails on demand: it wraps both ends of connections of
// any transport, which then can be cut, fall silent, be slow or damage messages,
// and it can refuse to connect:
//
//	faults := transporttest.NewFaults(1)
//	listener := memory.Listen()
//	go srv.Serve(faults.Listener(listener))
//	c := client.New(faults.Dialer(listener), client.Options{})
//	...
//	faults.Conns()[0].Cut()
//
// Both ends have to be wrapped: they mark their messages, to have pings of their
// own, because those must vanish as well when the network falls silent.
//
// What is random is drawn from the seed. Nothing but channels and timers is
// waited for, so that it works in the bubbles of testing/synctest over a transport
// that does.
type Faults struct {
	mu       sync.Mutex
	rand     *rand.Rand
	conns    []*FaultConn // that have not ended, in the order in which they were wrapped
	all      map[*FaultConn]struct{}
	refusals []Refusal
	pumps    sync.WaitGroup
}

// NewFaults returns a network without faults.
func NewFaults(seed uint64) *Faults {
	return &Faults{rand: rand.New(rand.NewPCG(seed, 0)), all: make(map[*FaultConn]struct{})}
}

// Conns returns the wrapped ends of connections that are not over, in the order
// in which they were made.
func (f *Faults) Conns() []*FaultConn {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.conns)
}

// Wrap wraps one end of a connection that has these limits. The other end has to be
// wrapped too. Silence is noticed by the wrapper, whose pings vanish when the network falls
// silent; the connection is a transport.SilenceAllower, or has a long read timeout.
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
		arrived:  make(chan arrival),
	}
	f.conns = append(f.conns, c)
	f.all[c] = struct{}{}
	return c
}

// Close drops all connections and waits until nothing of them is left. It is for
// the end of a test: an end that fell silent may otherwise exist for as long as its
// peer does not notice.
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

// A Refusal is what becomes of a Dial that fails.
type Refusal func(ctx context.Context) error

// Refused is the Refusal of a machine on which nothing listens.
func Refused(context.Context) error {
	return fmt.Errorf("transporttest: dial: %w", syscall.ECONNREFUSED)
}

// Hanging is the Refusal of a network that never answers.
func Hanging(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// Unavailable is the Refusal of a server that answers 503, and asks to be left
// alone for a while if retryAfter is not zero.
func Unavailable(retryAfter time.Duration) Refusal { return Answering(503, retryAfter) }

// Answering is the Refusal of a server that answers with a status of HTTP.
func Answering(statusCode int, retryAfter time.Duration) Refusal {
	return func(context.Context) error {
		return &transport.RefusedError{StatusCode: statusCode, RetryAfter: retryAfter}
	}
}

// Refuse lets the next calls of Dial fail, one for each refusal.
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

// Dialer wraps the connections that d makes, and has them refused. It is a
// transport.Prober if d is one.
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

// Listener wraps the connections that ln accepts.
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
