package enginetest

import (
	"context"
	"fmt"
	"time"
)

// Op is one of the operations of an engine.
type Op int

// The operations that a [Faulty] can break.
const (
	Publish Op = iota
	Subscribe
	Ask
	Append
	Read
	Tops
	Put
	List
)

func (op Op) String() string {
	if op < Publish || op > List {
		return fmt.Sprintf("Op(%d)", int(op))
	}
	return [...]string{"Publish", "Subscribe", "Ask", "Append", "Read", "Tops", "Put", "List"}[op]
}

// Fault is what happens instead of an operation. It may make the call, by next, and
// the error it returns is the caller's. Faults run on the caller's goroutine, without
// any lock.
type Fault func(ctx context.Context, next func(context.Context) error) error

// Fail is the fault of an operation that does not happen: err is returned.
func Fail(err error) Fault {
	return func(context.Context, func(context.Context) error) error { return err }
}

// FailAfter is the fault of a lost acknowledgement: the operation happens, and err is
// returned all the same.
func FailAfter(err error) Fault {
	return func(ctx context.Context, next func(context.Context) error) error {
		next(ctx)
		return err
	}
}

// Delay is the fault of a slow engine: the operation happens after d. If ctx ends
// before, it does not, and the error of ctx is returned.
func Delay(d time.Duration) Fault {
	return func(ctx context.Context, next func(context.Context) error) error {
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

// Before is the fault of something happening at a bad moment: do runs, and then the
// operation. To cut a node off between Subscribe and Read, break Read:
//
//	f.Break(enginetest.Read, enginetest.Before(f.Cut))
func Before(do func()) Fault {
	return func(ctx context.Context, next func(context.Context) error) error {
		do()
		return next(ctx)
	}
}

// Times is fault for the first n operations, and none afterwards.
func Times(n int, fault Fault) Fault {
	left := make(chan struct{}, n)
	for range n {
		left <- struct{}{}
	}
	return func(ctx context.Context, next func(context.Context) error) error {
		select {
		case <-left:
			return fault(ctx, next)
		default:
			return next(ctx)
		}
	}
}
