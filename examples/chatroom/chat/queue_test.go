package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
)

// sends sends messages as fast as the server takes them, as the page does: one after
// another, and a refused one again after a second. It returns how long that took, with
// a limit of maxTime, and the texts the server took.
func (g *guest) sends(n int, maxTime time.Duration) (took time.Duration, taken []string) {
	g.t.Helper()
	start := time.Now()
	for len(taken) < n && time.Since(start) < maxTime {
		in := Say{Room: "lobby", ID: fmt.Sprintf("message-%d-%d", start.UnixNano(), len(taken)), Text: fmt.Sprint(len(taken))}
		m, err := client.Call[Message](context.Background(), g.client, "say", in)
		switch {
		case errors.Is(err, ErrTooFast):
			time.Sleep(time.Second) // virtual
		case err != nil:
			g.t.Fatal(err)
		default:
			taken = append(taken, m.Text)
		}
		for len(g.heard) > 0 {
			<-g.heard
		}
	}
	return time.Since(start), taken
}

// A queue of 1,000 messages is sent in less than a minute after the silence in which it
// was written. No other silence allows that.
func TestQueue(t *testing.T) {
	test(t, func(t *testing.T, h *house) {
		const n, minute = 1000, time.Minute
		ada := h.enter("Ada")
		// within is the number of messages that are taken within a minute.
		within := func() int {
			_, taken := ada.sends(n, minute)
			return len(taken)
		}
		if got, want := within(), firstMessages+2*60; got < want-2 || got > want+2 {
			t.Errorf("somebody new sends %d messages in a minute, want %d", got, want)
		}
		if got, want := within(), 2*60; got < want-2 || got > want+2 {
			t.Errorf("%d messages in the minute after that, want %d", got, want)
		}
		time.Sleep(100 * time.Second)
		if got, want := within(), 200+2*60; got < want-2 || got > want+2 {
			t.Errorf("%d messages in a minute after 100 seconds of silence, want %d", got, want)
		}
		time.Sleep(24 * time.Hour)
		took, taken := ada.sends(n, time.Hour)
		if took > 50*time.Second {
			t.Errorf("1,000 messages after a day of silence take %v", took)
		}
		if got := within(); got > 2*60+2*50 {
			t.Errorf("%d messages in a minute after the queue", got)
		}
		var want []string
		for i := range n {
			want = append(want, fmt.Sprint(i))
		}
		if !slices.Equal(taken, want) {
			t.Error("the queue was not stored in order, once")
		}
	})
}

// A restart is no silence, and what was saved up before it is not lost.
func TestQueueRestart(t *testing.T) {
	test(t, func(t *testing.T, h *house) {
		ada := h.enter("Ada")
		restart := func(down time.Duration) {
			h.crash()
			time.Sleep(down) // virtual
			h.start()
			time.Sleep(10 * time.Second) // the client connects again
			ask[any](ada, "join", Join{Room: "lobby"}, nil)
		}
		ada.sends(1000, time.Minute)
		restart(0)
		if _, taken := ada.sends(1000, time.Second); len(taken) > 30 {
			t.Errorf("%d messages at once after a restart", len(taken))
		}
		restart(time.Hour)
		if took, taken := ada.sends(1000, time.Hour); took > 50*time.Second || len(taken) != 1000 {
			t.Errorf("%d messages in %v after an hour without the server", len(taken), took)
		}
	})
}
