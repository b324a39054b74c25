package link

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/webwire-go/webwire/transport"
)

// However often and by whomever the end is asked for, the connection is closed once,
// and the peer has the time to learn why: nothing cuts the close short.
func TestDisconnectIsNotCutShort(t *testing.T) {
	for name, again := range map[string]func(*running){
		"another": func(l *running) { l.Disconnect(transport.StatusGoingAway, "", errTestOver) },
		"later":   func(l *running) { l.DisconnectLater(transport.StatusGoingAway, "", errTestOver) },
		"drained": func(l *running) { l.Close(transport.StatusGoingAway, "", errTestOver) },
		"failed":  func(l *running) { l.end(errTestOver, false) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				w.slow = time.Second
				l := run(t, config(w), ignoring{})
				why := errors.New("slow consumer")
				for range 3 {
					l.DisconnectLater(transport.StatusSlowConsumer, "", why)
				}
				synctest.Wait()
				began := time.Now()
				go again(l)
				if err := <-l.reason; err != why || time.Since(began) != time.Second {
					t.Errorf("Run returned %v after %v", err, time.Since(began))
				}
				synctest.Wait()
				if len(w.closes) != 1 || w.closes[0] != transport.StatusSlowConsumer || w.aborts != 0 {
					t.Errorf("closed with %v, cut short %d times", w.closes, w.aborts)
				}
			})
		})
	}
}

// Abort does cut it short.
func TestAbortDuringDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.slow = time.Hour
		l := run(t, config(w), ignoring{})
		go l.Disconnect(transport.StatusNormalClosure, "", errTestOver)
		synctest.Wait()
		l.Abort(errors.New("now"))
		if err := <-l.reason; err != errTestOver || w.aborts == 0 {
			t.Errorf("Run returned %v, %d aborts", err, w.aborts)
		}
	})
}

// Disconnect returns once the connection is gone, whoever ends it.
func TestDisconnectWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.slow = time.Second
		l := run(t, config(w), ignoring{})
		l.DisconnectLater(transport.StatusNormalClosure, "", errTestOver)
		began := time.Now()
		if l.Disconnect(transport.StatusNormalClosure, "", errTestOver); time.Since(began) != time.Second {
			t.Errorf("returned after %v", time.Since(began))
		}
		l.Disconnect(transport.StatusNormalClosure, "", errTestOver) // again: at once
		l.Abort(errTestOver)
	})
}

// Close waits for tasks and requests, and for what is to be written.
func TestCloseDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.gate = make(chan struct{})
		l := run(t, config(w), ignoring{})
		step := make(chan struct{})
		l.Go(1, task(func() {
			<-step
			if err := l.Send(l.Context(), signal("", "the last word")); err != nil {
				t.Error(err)
			}
		}))
		l.Close(transport.StatusGoingAway, "", errTestOver)
		synctest.Wait()
		if l.Go(1, task(func() {})) || l.Order(1, task(func() {})) {
			t.Error("a link that drains takes tasks")
		}
		if len(w.closes) > 0 {
			t.Fatal("closed while a task runs")
		}
		close(step)
		synctest.Wait()
		if len(w.closes) > 0 {
			t.Fatal("closed before all was written")
		}
		w.gate <- struct{}{}
		if err := <-l.reason; err != errTestOver {
			t.Errorf("Run returned %v", err)
		}
		if n := len(w.written()); n != 1 || len(w.closes) != 1 || w.closes[0] != transport.StatusGoingAway {
			t.Errorf("%d writes, closed with %v", n, w.closes)
		}
	})
}

// The context of tasks ends with the connection, and says why.
func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := run(t, config(newWire()), ignoring{})
		if l.Context().Err() != nil {
			t.Error("it has ended")
		}
		l.Abort(errTestOver)
		if err := context.Cause(l.Context()); err != errTestOver {
			t.Errorf("got %v", err)
		}
	})
}

// Ended is called once, as soon as the connection has ended, and Run waits for it.
func TestEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		release := make(chan struct{})
		l := run(t, config(newWire()), ender{ended: func() {
			calls.Add(1)
			<-release
		}})
		synctest.Wait()
		if calls.Load() != 0 {
			t.Error("called while the connection is open")
		}
		l.DisconnectLater(transport.StatusNormalClosure, "", errTestOver)
		l.Abort(errTestOver)
		l.Abort(errTestOver)
		synctest.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("called %d times", n)
		}
		if len(l.reason) > 0 {
			t.Error("Run did not wait")
		}
		close(release)
		if err := <-l.reason; err != errTestOver {
			t.Errorf("Run returned %v", err)
		}
	})
}

// A write that fails ends the connection, and is the cause that everybody finds.
func TestFailedWriteEndsTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		broken := errors.New("broken pipe")
		w.fail = broken
		l := run(t, config(w), ignoring{})
		if err := l.Send(context.Background(), signal("", "x")); err != nil {
			t.Error(err) // it was accepted
		}
		if err := <-l.reason; err != broken {
			t.Errorf("Run returned %v", err)
		}
		if err := l.Send(t.Context(), signal("", "x")); err != broken {
			t.Errorf("got %v", err)
		}
		if w.aborts == 0 {
			t.Error("the connection was not dropped")
		}
	})
}

type ender struct {
	ignoring
	ended func()
}

func (e ender) Ended() { e.ended() }

// A server may have a hundred thousand idle connections. The allocator rounds a Link up to
// 768 bytes, of which it takes 8 itself; the next size is 896.
func TestSize(t *testing.T) {
	if size := unsafe.Sizeof(Link{}); unsafe.Sizeof(size) == 8 && size > 760 {
		t.Errorf("a Link has %d bytes", size)
	}
	if size := unsafe.Sizeof(modern{}); unsafe.Sizeof(uintptr(0)) == 8 && size > 208 {
		t.Errorf("what a Link of 3.0 has besides has %d bytes", size)
	}
}
