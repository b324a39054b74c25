package server

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/internal/logs"
)

const (
	topicShards = 16

	// engineTimeout limits calls of the engine that no caller waits for.
	engineTimeout = 10 * time.Second

	// openTimeout limits the opening of the engine. Engines have limits of their own, for
	// which see their options.
	openTimeout = 2 * time.Minute

	// idleTopic is for how long a topic without members stays subscribed.
	idleTopic = 2 * time.Second

	// maxIdle is how many topics without members stay subscribed for that long, and maxUntold how many
	// there may be if the engine does not take their presence: a client that subscribes to one after
	// the other must not fill the memory.
	maxIdle   = 1024
	maxUntold = 8 * maxIdle
)

// topics are the topics of a server that have members, or had some lately.
type topics struct {
	server *Server
	engine engine.Engine
	self   engine.NodeID

	ctx    context.Context // of what no caller waits for; ends with close
	cancel context.CancelFunc

	opened atomic.Bool
	failed error // of opening, once opening is closed

	seed   maphash.Seed
	shards [topicShards]topicShard
	live   sync.Map // *topic by name, for deliveries: they take no lock of a shard

	mu      sync.Mutex
	opening chan struct{} // closed when the engine is open, or cannot be opened; nil: nobody has opened it
	closed  bool
	workers sync.WaitGroup

	idle    atomic.Int64  // topics without members
	numbers atomic.Uint64 // of members
	errors  atomic.Uint64 // of the engine
	dropped atomic.Uint64 // publications that a member did not get
	gaps    atomic.Uint64 // of topics
}

// topicShard holds the topics whose names have the same hash.
type topicShard struct {
	mu  sync.Mutex
	all map[string]*topic
}

func (t *topics) init(s *Server) {
	t.server, t.engine, t.self = s, s.opts.Engine, engine.NewNodeID()
	if t.engine == (engine.Engine{}) {
		t.engine = new(engine.Memory).Node()
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.seed = maphash.MakeSeed()
}

var (
	errNoBus  = errors.New("server: Options.Engine has no Bus")
	errUntold = fmt.Errorf("server: topic: the engine has yet to take that the last member has left %d topics: %w", maxUntold, engine.ErrAway)
)

// ready waits until the engine is open, and opens it if nobody has. An engine that could not
// be opened is of no use any more.
func (t *topics) ready(ctx context.Context) error {
	if t.opened.Load() {
		return nil
	}
	done, err := t.open()
	if err != nil {
		return err
	}
	select {
	case <-done:
		return t.failed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// open begins to open the engine, once. The channel is closed when that is over, and failed
// is set.
func (t *topics) open() (done <-chan struct{}, err error) {
	if t.engine.Bus == nil {
		return nil, errNoBus
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.opening == nil {
		if t.closed {
			return nil, ErrServerClosed
		}
		t.opening = make(chan struct{})
		t.workers.Go(t.openEngine)
	}
	return t.opening, nil
}

func (t *topics) openEngine() {
	defer close(t.opening)
	ctx, cancel := context.WithTimeout(t.ctx, openTimeout)
	defer cancel()
	err := t.engine.Bus.Open(ctx, t.self, (*inlet)(t))
	switch {
	case err == nil:
		t.opened.Store(true)
	case t.ctx.Err() != nil:
		t.failed = ErrServerClosed
	default:
		t.failed = t.fault("open", "", err)
	}
}

// close closes the engine, and waits for what uses it.
func (t *topics) close() {
	t.mu.Lock()
	t.closed = true
	opening := t.opening
	t.mu.Unlock()
	t.cancel()
	if opening != nil {
		<-opening
	}
	if t.opened.Load() {
		if err := t.engine.Bus.Close(); err != nil {
			_ = t.fault("close", "", err) // it is counted
		}
	}
	t.workers.Wait()
}

// work runs f in a goroutine that close waits for, unless the server is closed.
func (t *topics) work(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.workers.Go(f)
	return true
}

// fault counts and logs an error of the engine, and returns it as callers of the server
// know it. Errors of contexts are the caller's.
func (t *topics) fault(op, topic string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, engine.ErrUnconfirmed) {
		return err
	}
	t.errors.Add(1)
	if t.ctx.Err() == nil && !errors.Is(err, engine.ErrTooBig) {
		t.server.log.Write(engineFailed, "webwire: engine failed", "operation", op, "topic", logs.Clean(topic), "error", logs.Text(err))
	}
	return fmt.Errorf("server: topic: %w", err)
}

func (t *topics) shard(name string) *topicShard {
	return &t.shards[maphash.String(t.seed, name)%topicShards]
}

// find returns the topic, or nil if it has no members.
func (t *topics) find(name string) *topic {
	if e, ok := t.live.Load(name); ok {
		return e.(*topic)
	}
	return nil
}

// options returns the options of a topic.
func (t *topics) options(name string) TopicOptions {
	if e := t.find(name); e != nil {
		return e.opts
	}
	if t.server.opts.Topics == nil {
		return TopicOptions{}
	}
	return t.server.opts.Topics(name)
}

// hold returns a topic that this node has subscribed to at the engine, and sees to it that
// it stays so until release.
func (t *topics) hold(ctx context.Context, name string) (*topic, error) {
	if err := engine.CheckName(name); err != nil {
		return nil, err
	}
	if err := t.ready(ctx); err != nil {
		return nil, err
	}
	opts := t.options(name)
	if opts.History && t.engine.Log == nil {
		return nil, errNoLog
	}
	if opts.Presence && t.engine.Roster == nil {
		return nil, errNoRoster
	}
	s := t.shard(name)
	s.mu.Lock()
	e := s.all[name]
	switch {
	case e == nil && t.idle.Load() >= maxUntold:
		s.mu.Unlock()
		return nil, errUntold
	case e == nil:
		e = newTopic(t, name, opts)
		if s.all == nil {
			s.all = make(map[string]*topic)
		}
		s.all[name] = e
		t.live.Store(name, e)
	case e.holds == 0:
		t.idle.Add(-1)
		e.stopExpiry()
	}
	e.holds++
	s.mu.Unlock()
	if err := e.subscribe(ctx); err != nil {
		e.release()
		return nil, err
	}
	return e, nil
}

// release undoes hold. The topic is unsubscribed a little later, unless it is held again, because
// clients come back; at once if there are many that wait for that.
func (e *topic) release() {
	s := e.topics.shard(e.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	e.holds--
	if e.holds == 0 {
		e.topics.idle.Add(1)
		e.expire()
	}
}

// told does what release has left because the presence was being told.
func (e *topic) told() { e.unlessHeld(e.expire) }

// unlessHeld calls f, with the shard's mu held, if nobody holds the topic and it is still subscribed.
func (e *topic) unlessHeld(f func()) {
	s := e.topics.shard(e.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[e.name] == e && e.holds == 0 {
		f()
	}
}

// expire unsubscribes a topic that nobody holds, now or later. If its presence is being told it
// hurries that if there are many, and told comes afterwards. The caller holds the shard's mu.
func (e *topic) expire() {
	if e.topics.idle.Load() > maxIdle {
		if !e.retired() {
			e.presence.hurry()
		}
		return
	}
	e.stopExpiry()
	e.expiry = time.AfterFunc(idleTopic, func() { e.unlessHeld(func() { e.retired() }) })
}

func (e *topic) stopExpiry() {
	if e.expiry != nil {
		e.expiry.Stop()
	}
}

// isSpare reports whether nobody holds the topic, and there are many like it.
func (e *topic) isSpare() bool {
	s := e.topics.shard(e.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	return e.holds == 0 && e.topics.idle.Load() > maxIdle
}

// retired unsubscribes a topic that nobody holds, and reports false if that has to wait until its
// presence is told. The caller holds the shard's mu.
func (e *topic) retired() bool {
	t := e.topics
	if t.ctx.Err() != nil {
		return true
	}
	if !e.stop() { // what it puts must not come after what another topic of this name puts
		return false
	}
	e.stopExpiry()
	delete(t.shard(e.name).all, e.name)
	t.live.Delete(e.name)
	t.idle.Add(-1)
	// It does not wait. While the lock is held nobody else can have subscribed again.
	t.engine.Bus.Unsubscribe(e.name)
	return true
}

// subscribe asks the engine for the topic's publications, once.
func (e *topic) subscribe(ctx context.Context) error {
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if e.subscribed {
		return nil
	}
	t := e.topics
	if err := t.engine.Bus.Subscribe(ctx, e.name); err != nil {
		return t.fault("subscribe", e.name, err)
	}
	if e.opts.History {
		tops, err := t.engine.Log.Tops(ctx, []string{e.name})
		if err != nil {
			return t.fault("tops", e.name, err)
		}
		e.begin(tops[0])
	}
	e.subscribed = true
	return nil
}

// inlet is topics as the engine sees it.
type inlet topics

// Deliver implements engine.Inlet.
func (in *inlet) Deliver(subject string, d engine.Delivery) {
	if e := (*topics)(in).find(subject); e != nil {
		e.deliver(d)
	}
}

// Lost implements engine.Inlet.
func (in *inlet) Lost(subjects []string, cause error) {
	t := (*topics)(in)
	_ = t.fault("deliver", "", cause) // it is logged
	t.work(func() { t.recheck(subjects) })
}

var _ engine.Inlet = (*inlet)(nil)
