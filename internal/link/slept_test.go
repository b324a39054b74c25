package link

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport/memory"
)

// deafRole drops what it gets.
type deafRole struct{ l *Link }

func (r deafRole) Receive(protocol.Message)          { r.l.Drop() }
func (r deafRole) Malformed(protocol.Message, error) { r.l.Drop() }

// A client whose system slept gives up its connection within a moment after it
// woke up; a clock that is set by little, or by much over hours, is no sleep.
func TestSystemSlept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead atomic.Int64 // of the clock on the wall
		real := wallClock
		wallClock = func() time.Time { return real().Add(time.Duration(ahead.Load())) }
		defer func() { wallClock = real }()

		for _, check := range []bool{true, false} {
			near, far := memory.Pipe()
			conf := Config{Version: protocol.V1_2, Concurrency: 1, InboxSize: 1000, OutboxSize: 1000, KeepAlive: 10 * time.Second}
			conf.Conn = far
			b := New(context.Background(), conf)
			conf.Conn = near
			if check {
				conf.WakeCheck = time.Second
			}
			a := New(context.Background(), conf)
			ended, other := make(chan error, 1), make(chan error, 1)
			go func() { ended <- a.Run(deafRole{a}) }()
			go func() { other <- b.Run(deafRole{b}) }()

			ahead.Add(int64(4 * time.Second))
			for range 1000 {
				time.Sleep(10 * time.Second)
				ahead.Add(int64(200 * time.Millisecond)) // the clock is slewed
			}
			ahead.Add(-int64(time.Hour)) // and set back
			time.Sleep(time.Minute)
			if len(ended) > 0 {
				t.Fatalf("the connection ended: %v", <-ended)
			}

			start := time.Now()
			ahead.Add(int64(time.Hour))
			if !check {
				time.Sleep(time.Minute)
				if len(ended) > 0 {
					t.Errorf("without a check the connection ended: %v", <-ended)
				}
				a.Abort(nil)
			} else if err := <-ended; !errors.Is(err, ErrSlept) {
				t.Errorf("after the system slept: %v", err)
			} else if d := time.Since(start); d > time.Second {
				t.Errorf("it was noticed after %v", d)
			}
			b.Abort(nil)
			<-other
			if !check {
				<-ended
			}
		}
	})
}
