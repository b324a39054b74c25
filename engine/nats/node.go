package natsengine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/webwire-go/webwire/engine"
)

// lanes is the number of queues that deliveries wait in. Subjects are spread over
// them: an asynchronous subscription of nats.go would be a goroutine each.
const lanes = 8

// node is the engine of one node; history, roster and sessions are views of it.
type node struct {
	opts     Options
	subjects subjects
	ctx      context.Context // ends when the node closes
	cancel   context.CancelFunc

	// Set by Open, before opened is.
	opened  atomic.Bool
	self    engine.NodeID
	inlet   engine.Inlet
	nc      *nats.Conn
	js      jetstream.JetStream
	lanes   [lanes]*lane
	logs    map[string]*stream // by class
	stored  *stream            // sessions
	nodes   *stream            // the roster's
	members *membership
	asked   *questions

	mu       sync.Mutex
	opening  bool
	closed   bool
	attached context.Context // ends when the connection is lost; nil: not connected
	detach   context.CancelFunc
	cause    error // of the latest loss
	final    error // why the connection is closed for good; nil: it is not

	missing error // why deliveries may be missing, if that is not told yet

	returned chan struct{} // one slot: the connection is back
	reported chan struct{} // one slot: there is something missing
	recheck  chan struct{} // one slot: the streams may have changed
	workers  sync.WaitGroup

	subs    sync.Mutex
	bySubj  map[string]*subscription
	byNATS  sync.Map // *nats.Subscription → *subscription
	closing sync.Once
}

func newNode(opts Options) *node {
	n := &node{
		opts:     opts,
		subjects: subjects("ww." + opts.App + "."),
		returned: make(chan struct{}, 1),
		reported: make(chan struct{}, 1),
		recheck:  make(chan struct{}, 1),
		bySubj:   make(map[string]*subscription),
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

// Open implements [engine.Bus].
func (n *node) Open(ctx context.Context, self engine.NodeID, in engine.Inlet) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := n.beginOpen(); err != nil {
		return err
	}
	n.self, n.inlet = self, in
	if err := n.open(ctx); err != nil {
		n.Close()
		if ctxErr := ctx.Err(); ctxErr != nil {
			return ctxErr
		}
		return fmt.Errorf("natsengine: open: %w", err)
	}
	return nil
}

func (n *node) beginOpen() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return engine.ErrClosed
	}
	if n.opening {
		return errors.New("natsengine: the node is open already")
	}
	if !isToken(n.opts.App) {
		return fmt.Errorf("natsengine: %q cannot be the name of an application", n.opts.App)
	}
	for _, c := range n.opts.Classes {
		if !isToken(c.Name) {
			return fmt.Errorf("natsengine: %q cannot be the name of a class", c.Name)
		}
	}
	n.opening = true
	return nil
}

func (n *node) open(ctx context.Context) error {
	connecting, cancel := context.WithTimeout(ctx, 4*n.opts.Timeout)
	defer cancel()
	nc, err := connect(connecting, n.opts.URL, append(n.opts.Connect[:len(n.opts.Connect):len(n.opts.Connect)],
		nats.Name("webwire "+n.opts.App+" "+n.self.String()),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1), // nothing is kept for later
		nats.ReconnectWait(100*time.Millisecond),
		nats.CustomReconnectDelay(reconnectDelay),
		nats.PingInterval(5*time.Second),
		nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(writeTimeout),
		nats.ReconnectOnFlusherError(),
		nats.IgnoreAuthErrorAbort(), // a user may be unknown for a while, as servers start
		nats.ClosedHandler(func(nc *nats.Conn) { n.ended(nc.LastError()) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { n.disconnected(err) }),
		nats.ReconnectHandler(func(*nats.Conn) { n.back() }),
		nats.ErrorHandler(n.asyncError),
		endOnWriteError,
	))
	if err != nil {
		return err
	}
	n.nc = nc
	if err := checkVersion(nc.ConnectedServerVersion()); err != nil {
		return err
	}
	if n.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(n.opts.Timeout)); err != nil {
		return err
	}
	if err := n.openStreams(ctx); err != nil {
		return err
	}
	n.members = newMembership(n)
	n.asked = newQuestions(n)
	for i := range n.lanes {
		n.lanes[i] = newLane(n)
		n.workers.Go(n.lanes[i].run)
	}
	n.connected()
	<-n.returned // that was the first connection, not a return
	n.opened.Store(true)
	if err := n.members.open(ctx); err != nil {
		return err
	}
	if err := n.asked.subscribe(ctx); err != nil {
		return err
	}
	n.workers.Go(n.watch)
	return nil
}

// writeTimeout is how long NATS may take for what is written at once, at most a message. nats.go
// holds its lock meanwhile: no call returns, and neither pings nor heartbeats find out that the
// connection is broken.
const writeTimeout = 4 * time.Second

// reconnectDelay grows from 100 ms to 2 s, each with up to a third more, so that the
// nodes do not come all at once. Attempts count rounds through all servers.
func reconnectDelay(attempts int) time.Duration {
	d := min(100*time.Millisecond<<min(max(attempts-1, 0), 5), 2*time.Second)
	return d + jitter(d/3)
}

// checkVersion returns an error unless the server can do what the engine needs.
func checkVersion(version string) error {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d.", &major, &minor); err != nil {
		return fmt.Errorf("a NATS server of version %q", version)
	}
	if major < 2 || major == 2 && minor < 12 {
		return fmt.Errorf("NATS server %s is too old, 2.12 or newer is needed", version)
	}
	return nil
}

// Close implements [engine.Bus].
func (n *node) Close() error {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.closing.Do(func() {
		n.cancel()
		if n.asked != nil {
			n.asked.wait()
		}
		if n.opened.Load() {
			n.members.leave()
		}
		if n.nc != nil {
			n.nc.Close()
		}
		n.workers.Wait()
	})
	return nil
}

func (n *node) connected() {
	n.mu.Lock()
	if n.detach != nil {
		n.detach()
	}
	n.attached, n.detach = context.WithCancel(n.ctx)
	n.mu.Unlock()
	signal(n.returned)
}

// back runs when the connection is back. Like disconnected it is called by nats.go, one at
// a time.
func (n *node) back() {
	n.connected()
	if n.opts.OnBack != nil && n.ctx.Err() == nil {
		n.opts.OnBack()
	}
}

func (n *node) disconnected(err error) {
	n.mu.Lock()
	if n.detach != nil {
		n.detach()
	}
	n.attached, n.detach = nil, nil
	n.cause = err
	closed := n.closed
	n.mu.Unlock()
	if closed {
		return
	}
	n.opts.Logger.Warn("natsengine: connection lost", "error", err)
	if n.opts.OnAway != nil {
		n.opts.OnAway(orUnknown(err))
	}
}

// ended runs when nats.go has given the connection up, which it does for errors of the
// server that it does not know.
func (n *node) ended(err error) {
	err = orUnknown(err)
	n.mu.Lock()
	closed := n.closed
	n.final = err
	n.mu.Unlock()
	if closed {
		return
	}
	n.disconnected(err)
	n.opts.Logger.Error("natsengine: the connection to NATS is closed for good", "error", err)
	if n.opts.OnGivenUp != nil {
		n.opts.OnGivenUp(err)
	}
}

// asyncError is called by nats.go for errors that belong to no call.
func (n *node) asyncError(_ *nats.Conn, sub *nats.Subscription, err error) {
	if s := n.subscription(sub); s != nil && errors.Is(err, nats.ErrSlowConsumer) {
		s.lane.overflow(s)
		return
	}
	n.opts.Logger.Error("natsengine: NATS reports an error", "error", err)
}

// ready returns why nothing can be done, or nil and a context that ends when the
// connection is lost or the node is closed.
func (n *node) ready(ctx context.Context) (attached context.Context, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		return nil, engine.ErrClosed
	case !n.opened.Load():
		return nil, engine.ErrNotOpen
	case n.final != nil:
		return nil, fmt.Errorf("%w: natsengine: the connection is closed for good: %w", engine.ErrAway, n.final)
	case n.attached == nil:
		return nil, engine.ErrAway
	}
	return n.attached, nil
}

// readyFor is ready for a call about names.
func (n *node) readyFor(ctx context.Context, names ...string) (attached context.Context, err error) {
	for _, name := range names {
		if err := engine.CheckName(name); err != nil {
			return nil, err
		}
	}
	return n.ready(ctx)
}

// watch handles what happens beside calls: the return of the connection, and streams
// that are not what they were.
func (n *node) watch() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.returned:
			n.afterReturn()
		case <-n.reported:
			n.mu.Lock()
			cause := n.missing
			n.mu.Unlock()
			n.lost(cause)
		case <-n.recheck:
			n.checkStreams()
		case <-tick.C:
			n.checkStreams()
		}
	}
}

// afterReturn runs when the connection is back: nats.go has subscribed again.
func (n *node) afterReturn() {
	n.mu.Lock()
	cause := n.cause
	n.mu.Unlock()
	attached, err := n.ready(n.ctx)
	if err != nil {
		return // lost again, it will be back again
	}
	ctx, cancel := n.call(n.ctx, attached)
	defer cancel()
	if err := n.nc.FlushWithContext(ctx); err != nil {
		if attached.Err() == nil && ctx.Err() != nil {
			signal(n.returned) // the server is slow
		}
		return
	}
	n.members.returned(ctx)
	n.opts.Logger.Info("natsengine: connected again")
	n.lost(fmt.Errorf("natsengine: the connection was lost: %w", orUnknown(cause)))
}

func orUnknown(err error) error {
	if err == nil {
		return errors.New("reason unknown")
	}
	return err
}

// report has the node told that anything may be missing.
func (n *node) report(cause error) {
	n.mu.Lock()
	n.missing = cause
	n.mu.Unlock()
	signal(n.reported)
}

func (n *node) lost(cause error) {
	if n.ctx.Err() == nil {
		n.inlet.Lost(nil, cause)
	}
}

// signal fills a slot, or leaves it full.
func signal(slot chan struct{}) {
	select {
	case slot <- struct{}{}:
	default:
	}
}
