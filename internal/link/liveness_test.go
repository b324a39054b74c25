package link

import (
	"testing"
	"testing/synctest"
	"time"
)

// A ping is due KeepAlive after the last message, not at the next tick after that.
func TestPingIsDueAfterTheLastMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &monitored{wire: newWire()}
		conf := config(m)
		conf.Limits.KeepAlive = 10 * time.Second
		l := run(t, conf, ignoring{})
		msg := encoded(t, 1)
		for i, after := range []time.Duration{100 * time.Millisecond, 5 * time.Second, 9 * time.Second, 9900 * time.Millisecond} {
			time.Sleep(after)
			m.arrive(msg)
			if err := l.Send(t.Context(), signal("s", "x")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			before := m.pings.Load()
			time.Sleep(conf.Limits.KeepAlive - time.Millisecond)
			if n := m.pings.Load() - before; n != 0 {
				t.Errorf("%d: %d pings before one was due", i, n)
			}
			time.Sleep(2 * time.Millisecond)
			if n := m.pings.Load() - before; n != 1 {
				t.Errorf("%d: %d pings when one was due", i, n)
			}
		}
	})
}

// A side that only receives, and one that only sends, pings too: the peer, and what is
// between the two, wants to see something in both directions.
func TestPingInOneDirection(t *testing.T) {
	for _, sends := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			m := &monitored{wire: newWire()}
			conf := config(m)
			conf.Limits.KeepAlive = 10 * time.Second
			l := run(t, conf, ignoring{})
			msg := encoded(t, 1)
			for range 100 {
				time.Sleep(time.Second)
				if sends {
					if err := l.Send(t.Context(), signal("s", "x")); err != nil {
						t.Fatal(err)
					}
				} else {
					m.arrive(msg)
				}
			}
			synctest.Wait()
			if n := m.pings.Load(); n < 9 || n > 10 {
				t.Errorf("sends %v: %d pings in 100 s", sends, n)
			}
		})
	}
}
