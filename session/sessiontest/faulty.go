package sessiontest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/webwire-go/webwire/session"
)

// Op is an operation of a store.
type Op int

// The operations, in the order of [session.Store].
const (
	Save Op = iota
	Load
	Touch
	Update
	Delete
)

func (op Op) String() string {
	if op < Save || op > Delete {
		return fmt.Sprintf("Op(%d)", int(op))
	}
	return [...]string{"Save", "Load", "Touch", "Update", "Delete"}[op]
}

// Call is a call of an operation, as a Fault sees it.
type Call struct {
	Op  Op
	Key string

	// Session is the session that Save stores, the Info that Update stores, and the
	// result of Load once the call was made. A Fault may change it.
	Session session.Session

	// Seen is the time that Touch was given.
	Seen time.Time
}

// Fault runs in place of an operation. It may call next to perform the operation; the caller
// gets the error that it returns. Faults run on the caller's goroutine, without any lock.
type Fault func(ctx context.Context, call *Call, next func(context.Context) error) error

// Faulty is a [session.Store] that wraps another one and fails on demand:
//
//	store := &sessiontest.Faulty{Store: &session.MemoryStore{}}
//	store.Break(sessiontest.Load, sessiontest.Fail(errors.New("the disk is on fire")))
//	...
//	store.Mend(sessiontest.Load)
//
// Without faults it does what Store does. All methods may be called at any time
// from any goroutine.
type Faulty struct {
	Store session.Store // set before first use

	mu     sync.Mutex
	faults map[Op]Fault
	calls  map[Op]int
}

// Break makes fault run at every op from now on. It replaces an earlier fault of op.
func (f *Faulty) Break(op Op, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.faults == nil {
		f.faults = make(map[Op]Fault)
	}
	f.faults[op] = fault
}

// Mend removes the fault of op. Calls in progress are not affected.
func (f *Faulty) Mend(op Op) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.faults, op)
}

// Calls returns the number of calls of op, including those with a fault.
func (f *Faulty) Calls(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// Save implements [session.Store].
func (f *Faulty) Save(ctx context.Context, s session.Session) error {
	call := &Call{Op: Save, Key: s.Key, Session: s}
	return f.do(ctx, call, func(ctx context.Context) error {
		return f.Store.Save(ctx, call.Session)
	})
}

// Load implements [session.Store].
func (f *Faulty) Load(ctx context.Context, key string) (session.Session, error) {
	call := &Call{Op: Load, Key: key}
	err := f.do(ctx, call, func(ctx context.Context) (err error) {
		call.Session, err = f.Store.Load(ctx, call.Key)
		return err
	})
	if err != nil {
		return session.Session{}, err
	}
	return call.Session, nil
}

// Touch implements [session.Store].
func (f *Faulty) Touch(ctx context.Context, key string, seen time.Time) error {
	call := &Call{Op: Touch, Key: key, Seen: seen}
	return f.do(ctx, call, func(ctx context.Context) error {
		return f.Store.Touch(ctx, call.Key, call.Seen)
	})
}

// Update implements [session.Store].
func (f *Faulty) Update(ctx context.Context, key string, info json.RawMessage) error {
	call := &Call{Op: Update, Key: key, Session: session.Session{Key: key, Info: info}}
	return f.do(ctx, call, func(ctx context.Context) error {
		return f.Store.Update(ctx, call.Key, call.Session.Info)
	})
}

// Delete implements [session.Store].
func (f *Faulty) Delete(ctx context.Context, key string) error {
	call := &Call{Op: Delete, Key: key}
	return f.do(ctx, call, func(ctx context.Context) error {
		return f.Store.Delete(ctx, call.Key)
	})
}

func (f *Faulty) do(ctx context.Context, call *Call, next func(context.Context) error) error {
	f.mu.Lock()
	if f.calls == nil {
		f.calls = make(map[Op]int)
	}
	f.calls[call.Op]++
	fault := f.faults[call.Op]
	f.mu.Unlock()
	if fault == nil {
		return next(ctx)
	}
	return fault(ctx, call, next)
}

// Fail is the fault of a broken store: the operation does not happen and err is returned.
func Fail(err error) Fault {
	return func(context.Context, *Call, func(context.Context) error) error { return err }
}

// FailAfter is the fault of a lost answer: the operation happens and err is returned.
func FailAfter(err error) Fault {
	return func(ctx context.Context, _ *Call, next func(context.Context) error) error {
		next(ctx)
		return err
	}
}

// Delay is the fault of a slow store: the operation happens after d. If ctx ends first, it
// does not happen and the error of ctx is returned.
func Delay(d time.Duration) Fault {
	return func(ctx context.Context, _ *Call, next func(context.Context) error) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return next(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Hang is the fault of a store that never answers: it waits until ctx ends.
func Hang() Fault {
	return func(ctx context.Context, _ *Call, _ func(context.Context) error) error {
		<-ctx.Done()
		return ctx.Err()
	}
}

// Panic is the fault of a store with a bug.
func Panic(value any) Fault {
	return func(context.Context, *Call, func(context.Context) error) error { panic(value) }
}

// Spoil is the fault of a store that does not notice damage. Load returns a session with
// another key, no times, and an Info that is not JSON. Save and Update get the same Info,
// Save no times either, so a good store refuses them. Other operations are not affected.
// The fault of a store that does notice is Fail(session.ErrDamaged).
func Spoil() Fault {
	return func(ctx context.Context, call *Call, next func(context.Context) error) error {
		spoiled := session.Session{Key: call.Key, Info: json.RawMessage(`{"cut off`)}
		if call.Op == Save || call.Op == Update {
			call.Session = spoiled
		}
		err := next(ctx)
		if call.Op == Load && err == nil {
			spoiled.Key += "?"
			call.Session = spoiled
		}
		return err
	}
}
