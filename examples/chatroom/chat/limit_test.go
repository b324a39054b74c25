package chat

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit{rate: rate{burst: 3, every: time.Second}}
		burst := func(who string) (n int) {
			for l.allow(who) {
				n++
			}
			return n
		}
		if n := burst("ada"); n != 3 {
			t.Errorf("%d at once, want 3", n)
		}
		if n := burst("bob"); n != 3 {
			t.Errorf("%d of somebody else, want 3", n)
		}
		time.Sleep(2 * time.Second) // virtual: this is what is tested
		if n := burst("ada"); n != 2 {
			t.Errorf("%d after two intervals, want 2", n)
		}
		time.Sleep(time.Hour)
		if n := burst("ada"); n != 3 {
			t.Errorf("%d after an hour, want 3", n)
		}
		if len(l.empty) != 1 {
			t.Errorf("%d are remembered after an hour, want only who came since", len(l.empty))
		}
	})
}
