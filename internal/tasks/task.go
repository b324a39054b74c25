package tasks

import "runtime/debug"

// A Task is a piece of user code to run: a handler or a hook. Panicked is called
// instead of the rest of Run if that panics, with what it panicked with, or ends
// its goroutine with runtime.Goexit, with nil.
type Task interface {
	Run()
	Panicked(value any, stack []byte)
}

// Run is the barrier between our goroutines and the panics of user code.
func Run(t Task) {
	returned := false
	defer func() {
		if !returned {
			value := recover()
			t.Panicked(value, debug.Stack())
		}
	}()
	t.Run()
	returned = true
}

// RunApart is Run on a goroutine of its own, whose end it waits for: the caller's goroutine does
// not end if t calls runtime.Goexit.
func RunApart(t Task) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		Run(t)
	}()
	<-done
}
