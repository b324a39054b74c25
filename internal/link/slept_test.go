package link

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// monitored is a wire whose peer answers pings, unless it is gone.
type monitored struct {
	*wire
	arrivals, pings atomic.Uint64
	gone            atomic.Bool
}

func (m *monitored) Arrivals() uint64 { return m.arrivals.Load() }

func (m *monitored) Ping() error {
	m.pings.Add(1)
	if !m.gone.Load() {
		m.arrivals.Add(1)
	}
	return nil
}

// A client whose system slept asks the server whether it is still there, and gives up
// the connection if it is not. That the wall clock was set is no reason to.
func TestSystemSlept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead atomic.Int64 // of the wall clock
		real := wallClock
		wallClock = func() time.Time { return real().Add(time.Duration(ahead.Load())) }
		defer func() { wallClock = real }()

		for _, check := range []bool{true, false} {
			m := &monitored{wire: newWire()}
			conf := config(m)
			conf.Limits.KeepAlive, conf.Limits.WakeCheck = 10*time.Second, check
			l := run(t, conf, ignoring{})

			for range 1000 {
				time.Sleep(10 * time.Second)
				ahead.Add(int64(200 * time.Millisecond)) // the clock is slewed
			}
			ahead.Add(-int64(time.Hour)) // set back
			time.Sleep(time.Minute)
			ahead.Add(int64(6 * time.Second)) // set forward
			time.Sleep(time.Minute)
			ahead.Add(int64(time.Hour)) // or it slept, and the peer is still there
			time.Sleep(time.Minute)
			if l.Cause() != nil {
				t.Fatalf("the connection ended: %v", l.Cause())
			}
			if n := m.pings.Load(); n > 1050 {
				t.Errorf("%d pings in 10,000 s", n)
			}

			m.gone.Store(true)
			start := time.Now()
			ahead.Add(int64(time.Hour))
			if !check {
				time.Sleep(time.Minute)
				if l.Cause() != nil {
					t.Errorf("without a check the connection ended: %v", l.Cause())
				}
				continue
			}
			if err := <-l.reason; !errors.Is(err, ErrSlept) {
				t.Errorf("after the system slept: %v", err)
			} else if d := time.Since(start); d > conf.Limits.KeepAlive+answerTime {
				t.Errorf("it was noticed after %v", d)
			}
		}
	})
}
