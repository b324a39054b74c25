package enginetest

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/webwire-go/webwire/engine"
)

// Faulty is the engine of one node before another engine, which fails on demand:
//
//	var memory engine.Memory
//	f := enginetest.NewFaulty(memory.Node())
//	srv := server.New(server.Options{Engine: f.Engine()})
//	f.Break(enginetest.Append, enginetest.FailAfter(engine.ErrUnconfirmed)) // lost acknowledgements
//	f.Lose(3)       // the next three deliveries vanish
//	f.Cut()         // the node is away
//	f.Heal()        // and back, without its records in the roster
//	f.Restart(...)  // the engine has lost its logs
//
// Without faults it does what the other engine does. Methods may be called at any
// time from any goroutine.
type Faulty struct {
	sessions engine.Engine // what is passed on as it is

	mu       sync.Mutex
	inner    engine.Engine
	self     engine.NodeID
	inlet    engine.Inlet // nil: not open
	closed   bool
	faults   map[Op]Fault
	calls    map[Op]int
	subjects map[string]struct{}
	undone   map[string]struct{} // that were unsubscribed while the node was away
	present  map[string]struct{} // topics with a record of this node
	away     bool
	lose     int
	held     chan struct{} // nil: deliveries are not held
}

// NewFaulty returns an engine without faults before e, which is not open.
func NewFaulty(e engine.Engine) *Faulty {
	return &Faulty{
		sessions: e, inner: e, faults: make(map[Op]Fault), calls: make(map[Op]int),
		subjects: make(map[string]struct{}), undone: make(map[string]struct{}), present: make(map[string]struct{}),
	}
}

// Engine returns the engine to use. It has the parts that the other engine has.
func (f *Faulty) Engine() engine.Engine {
	e := engine.Engine{Bus: faultyBus{f}, Sessions: f.sessions.Sessions}
	if f.sessions.Log != nil {
		e.Log = faultyLog{f}
	}
	if f.sessions.Roster != nil {
		e.Roster = faultyRoster{f}
	}
	return e
}

// Break has fault happen at every op from now on, in place of an earlier fault.
func (f *Faulty) Break(op Op, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[op] = fault
}

// Mend ends the fault of op. Calls in progress are not affected.
func (f *Faulty) Mend(op Op) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.faults, op)
}

// Calls returns how often op was called, faults included.
func (f *Faulty) Calls(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// Lose drops the next n deliveries to the node, without a word.
func (f *Faulty) Lose(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lose += n
}

// Hold keeps deliveries back until Release, as a slow network does. The engine may
// take the node for a slow one.
func (f *Faulty) Hold() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held == nil {
		f.held = make(chan struct{})
	}
}

// Release ends Hold.
func (f *Faulty) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held != nil {
		close(f.held)
		f.held = nil
	}
}

// Cut separates the node from the engine: calls return engine.ErrAway, deliveries are
// dropped, and other nodes that ask it get an error.
func (f *Faulty) Cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = true
}

// Heal ends Cut: the node's records in the roster are gone, as if others had taken it
// for dead, and the inlet's Lost is called for all subjects.
func (f *Faulty) Heal() {
	f.mu.Lock()
	if !f.away {
		f.mu.Unlock()
		return
	}
	f.away = false
	inner, in := f.inner, f.inlet
	undone := slices.Collect(maps.Keys(f.undone))
	clear(f.undone)
	present := slices.Collect(maps.Keys(f.present))
	clear(f.present)
	f.mu.Unlock()
	inner.Bus.Unsubscribe(undone...)
	for _, topic := range present {
		inner.Roster.Put(context.Background(), topic, nil)
	}
	if in != nil {
		in.Lost(nil, errCut)
	}
}

var (
	errCut     = errors.New("enginetest: the node was cut off")
	errRestart = errors.New("enginetest: the engine was restarted")
)

// Restart replaces the other engine by next, which is not open, as if the engine had
// been restarted and had lost its logs: the old one is closed, subscriptions are made
// again, and the inlet's Lost is called. All nodes are to be restarted with engines
// that share something new.
func (f *Faulty) Restart(ctx context.Context, next engine.Engine) error {
	f.mu.Lock()
	old, in, self := f.inner, f.inlet, f.self
	subjects := slices.Collect(maps.Keys(f.subjects))
	f.inner = next
	f.mu.Unlock()
	if in == nil {
		return nil
	}
	if err := errors.Join(next.Bus.Open(ctx, self, &faultyInlet{f, in, next.Bus}), next.Bus.Subscribe(ctx, subjects...)); err != nil {
		return err
	}
	if err := old.Bus.Close(); err != nil {
		return err
	}
	in.Lost(nil, errRestart)
	return nil
}

// do makes a call of the inner engine, or what takes its place.
func (f *Faulty) do(ctx context.Context, op Op, next func(context.Context, engine.Engine) error) error {
	f.mu.Lock()
	f.calls[op]++
	fault := f.faults[op]
	f.mu.Unlock()
	call := func(ctx context.Context) error {
		f.mu.Lock()
		inner, away := f.inner, f.away && !f.closed
		f.mu.Unlock()
		if away {
			if err := ctx.Err(); err != nil {
				return err
			}
			return engine.ErrAway
		}
		return next(ctx, inner)
	}
	if fault == nil {
		return call(ctx)
	}
	return fault(ctx, call)
}

type faultyBus struct{ f *Faulty }

func (b faultyBus) Open(ctx context.Context, self engine.NodeID, in engine.Inlet) error {
	f := b.f
	f.mu.Lock()
	inner := f.inner
	f.mu.Unlock()
	if err := inner.Bus.Open(ctx, self, &faultyInlet{f, in, inner.Bus}); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.self, f.inlet = self, in
	return nil
}

func (b faultyBus) Publish(ctx context.Context, subject string, data []byte) error {
	return b.f.do(ctx, Publish, func(ctx context.Context, e engine.Engine) error {
		return e.Bus.Publish(ctx, subject, data)
	})
}

func (b faultyBus) Subscribe(ctx context.Context, subjects ...string) error {
	return b.f.do(ctx, Subscribe, func(ctx context.Context, e engine.Engine) error {
		if err := e.Bus.Subscribe(ctx, subjects...); err != nil {
			return err
		}
		b.f.mu.Lock()
		defer b.f.mu.Unlock()
		for _, subject := range subjects {
			b.f.subjects[subject] = struct{}{}
			delete(b.f.undone, subject)
		}
		return nil
	})
}

func (b faultyBus) Unsubscribe(subjects ...string) {
	f := b.f
	f.mu.Lock()
	inner, away := f.inner, f.away
	for _, subject := range subjects {
		delete(f.subjects, subject)
		if away {
			f.undone[subject] = struct{}{}
		}
	}
	f.mu.Unlock()
	if !away {
		inner.Bus.Unsubscribe(subjects...)
	}
}

func (b faultyBus) Ask(ctx context.Context, to engine.NodeID, data []byte) (answer []byte, err error) {
	err = b.f.do(ctx, Ask, func(ctx context.Context, e engine.Engine) (err error) {
		answer, err = e.Bus.Ask(ctx, to, data)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func (b faultyBus) Close() error {
	f := b.f
	f.mu.Lock()
	inner := f.inner
	f.closed = true
	f.mu.Unlock()
	f.Release()
	return inner.Bus.Close()
}

type faultyLog struct{ f *Faulty }

func (l faultyLog) Append(ctx context.Context, topic string, data []byte, id string) (at engine.Position, err error) {
	err = l.f.do(ctx, Append, func(ctx context.Context, e engine.Engine) (err error) {
		at, err = e.Log.Append(ctx, topic, data, id)
		return err
	})
	if err != nil {
		return engine.Position{}, err
	}
	return at, nil
}

func (l faultyLog) Read(ctx context.Context, topic string, after engine.Position, max int) (page engine.Page, err error) {
	err = l.f.do(ctx, Read, func(ctx context.Context, e engine.Engine) (err error) {
		page, err = e.Log.Read(ctx, topic, after, max)
		return err
	})
	if err != nil {
		return engine.Page{}, err
	}
	return page, nil
}

func (l faultyLog) Tops(ctx context.Context, topics []string) (tops []engine.Top, err error) {
	err = l.f.do(ctx, Tops, func(ctx context.Context, e engine.Engine) (err error) {
		tops, err = e.Log.Tops(ctx, topics)
		return err
	})
	if err != nil {
		return nil, err
	}
	return tops, nil
}

type faultyRoster struct{ f *Faulty }

func (r faultyRoster) Nodes() iter.Seq[engine.NodeID] {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	return r.f.inner.Roster.Nodes()
}

func (r faultyRoster) Put(ctx context.Context, topic string, members []byte) error {
	return r.f.do(ctx, Put, func(ctx context.Context, e engine.Engine) error {
		r.f.mu.Lock()
		r.f.present[topic] = struct{}{}
		r.f.mu.Unlock()
		return e.Roster.Put(ctx, topic, members)
	})
}

func (r faultyRoster) List(ctx context.Context, topic string) (list []engine.Members, err error) {
	err = r.f.do(ctx, List, func(ctx context.Context, e engine.Engine) (err error) {
		list, err = e.Roster.List(ctx, topic)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// faultyInlet is what the inner engine calls.
type faultyInlet struct {
	f   *Faulty
	in  engine.Inlet
	bus engine.Bus // that it belongs to
}

func (i *faultyInlet) Deliver(subject string, d engine.Delivery) {
	f := i.f
	f.mu.Lock()
	held := f.held
	f.mu.Unlock()
	if held != nil {
		<-held
	}
	f.mu.Lock()
	drop := f.away || f.lose > 0 || f.inner.Bus != i.bus
	if f.lose > 0 {
		f.lose--
	}
	f.mu.Unlock()
	if !drop {
		i.in.Deliver(subject, d)
	}
}

func (i *faultyInlet) Asked(ctx context.Context, from engine.NodeID, data []byte) ([]byte, error) {
	i.f.mu.Lock()
	away := i.f.away
	i.f.mu.Unlock()
	if away {
		return nil, errCut
	}
	return i.in.Asked(ctx, from, data)
}

func (i *faultyInlet) Lost(subjects []string, cause error) { i.in.Lost(subjects, cause) }
