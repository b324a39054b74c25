package link

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// A peer that sends control messages without cause ends its connection; one that has cause,
// or takes its time, may send any number.
func TestControlsWithoutCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := alone(t, echo)
		synctest.Wait()
		l.modern.controls.count, l.modern.controls.allowed = freeControls-1000, freeControls-1000 // sent before
		l.received.Store(freeControls - 1000)
		for range 1100 { // a few have cause: what this end has sent
			w.say(t, cancel(99, 0))
			if l.Cause() != nil {
				break
			}
		}
		synctest.Wait()
		if err := l.violation(); !errors.Is(err, errFlood) {
			t.Errorf("%d cancels of nothing: %v", freeControls, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l, w := alone(t, echo)
		synctest.Wait()
		l.modern.controls.count, l.modern.controls.allowed = freeControls-1, freeControls // the free ones are used up
		l.received.Store(freeControls)
		for id := range uint64(3000) {
			w.say(t, ask(id, "x", nil))
			w.say(t, cancel(id, 0))
			w.say(t, protocol.Message{Kind: protocol.Credit, ID: protocol.NewID(id), Number: 1})
			synctest.Wait() // it is answered
		}
		synctest.Wait()
		if err := l.violation(); err != nil {
			t.Errorf("a cancel and credit with each request: %v", err)
		}
	})
}

// What is allowed grows with the requests that arrive, the messages that are sent, and the
// time.
func TestControlsThatAreAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := alone(t, echo)
		synctest.Wait()
		c := &l.modern.controls
		allowed := func() uint64 {
			c.allowed = 0
			if c.exceed(l.Link) {
				t.Fatal("the first control message is too much")
			}
			return c.allowed
		}
		first := allowed()
		w.say(t, ask(1, "x", nil))
		synctest.Wait()
		if n := allowed() - first; n < 2 || n > 4 { // received, and answered
			t.Errorf("%d more with a request", n)
		}
		first = allowed()
		time.Sleep(10 * l.limits.KeepAlive)
		if n := allowed() - first; n != 10*controlsPerInterval {
			t.Errorf("%d more in 10 intervals", n)
		}
	})
}
