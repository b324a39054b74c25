package server_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

var schedules = flag.Int("schedules", 300, "number of random schedules of TestTopicSchedules")

// Whatever happens, a subscriber sees the topic in its order without holes or doubles, or
// learns of a gap where it is.
func TestTopicSchedules(t *testing.T) {
	for seed := range *schedules {
		synctest.Test(t, func(t *testing.T) { runSchedule(t, uint64(seed)) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// follower is a subscriber that remembers what it saw.
type follower struct {
	*peer
	ref   uint32
	at    *protocol.Position // of the last message, nil: before the first subscribe
	last  int                // publication
	begun bool               // last is one, or the one before the first
	gap   bool               // was told since last
	gaps  int
}

func runSchedule(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	memory := &engine.Memory{History: 5 + rng.IntN(150)}
	f := enginetest.NewFaulty(memory.Node())
	nodes := []*server.Server{
		newTopical(t, server.Options{Engine: f.Engine(), Topics: history, ResumeWindow: -1}),
		newTopical(t, server.Options{Engine: memory.Node(), Topics: history, ResumeWindow: -1}),
	}
	published, trace := 0, ""
	var followers [3]follower
	say := func(format string, args ...any) { trace += fmt.Sprintf(format, args...) }
	fail := func(i int, format string, args ...any) {
		t.Fatalf("seed %d, follower %d: %s\n%s", seed, i, fmt.Sprintf(format, args...), trace)
	}
	settle := func(i int) {
		synctest.Wait()
		w := &followers[i]
		for w.peer != nil && len(w.got) > 0 {
			m, ok := <-w.got
			if !ok {
				return
			}
			switch m.Kind {
			case protocol.Gap:
				g, err := m.Gap()
				if err != nil || g.Ref != w.ref {
					fail(i, "got gap %+v, %v", g, err)
				}
				w.gap, w.at = true, &g.Next
				w.gaps++
			case protocol.Reply:
				at, err := m.Payload.Position()
				if err != nil {
					fail(i, "reply: %v", err)
				}
				if w.at != nil && *w.at != at {
					fail(i, "goes on at %+v, not at %+v", at, *w.at)
				}
				if !w.begun {
					// It sees what was published after it subscribed, and perhaps before.
					w.begun, w.last = true, -1
				}
				w.at = &at
			case protocol.Publication:
				n, err := strconv.Atoi(m.Payload.Text())
				switch {
				case err != nil || m.Ref != w.ref || m.Number <= w.at.Offset:
					fail(i, "got %+v after %+v", m, *w.at)
				case w.last == -1: // the first
				case w.gap && n <= w.last+1:
					fail(i, "%d after %d and a gap, of which nothing is lost", n, w.last)
				case !w.gap && n != w.last+1:
					fail(i, "%d after %d", n, w.last)
				}
				w.last, w.gap = n, false
				w.at = &protocol.Position{Epoch: w.at.Epoch, Offset: m.Number}
			default:
				fail(i, "got %v", m.Kind)
			}
		}
	}
	connected := func(i, node int) {
		w := &followers[i]
		w.peer = connect(t, nodes[node], protocol.V3_0)
		w.ref++
		w.subscribe(1, w.ref, "room", w.at)
	}
	for i := range followers {
		connected(i, i%len(nodes))
		settle(i)
	}
	for range 10 + rng.IntN(30) {
		i := rng.IntN(len(followers))
		switch rng.IntN(10) {
		case 0, 1, 2, 3:
			n := 1 + rng.IntN(4)
			if rng.IntN(12) == 0 {
				n = rng.IntN(160)
			}
			node := rng.IntN(len(nodes))
			say("publish %d at %d\n", n, node)
			for range n {
				publish(t, nodes[node], "room", strconv.Itoa(published))
				published++
			}
		case 4, 5:
			say("cut %d\n", i)
			settle(i)
			if followers[i].peer != nil {
				followers[i].conn.Abort()
				followers[i].peer = nil
			}
		case 6:
			if followers[i].peer == nil {
				node := rng.IntN(len(nodes))
				say("restart %d at %d\n", i, node)
				connected(i, node)
			}
		case 7:
			n := rng.IntN(20)
			say("lose %d\n", n)
			f.Lose(n)
		case 8:
			d := time.Duration(rng.IntN(5000)) * time.Millisecond
			if rng.IntN(5) == 0 {
				d *= 20
			}
			say("wait %v\n", d)

			time.Sleep(d)
		case 9:
			if rng.IntN(2) == 0 {
				say("settle %d\n", i)
				settle(i)
			}
		}
	}
	f.Lose(-1 << 20)
	for i := range followers {
		if followers[i].peer == nil {
			connected(i, i%len(nodes))
		}
	}
	time.Sleep(100 * time.Second) // more than the pause between two checks
	for i := range followers {
		settle(i)
		w := &followers[i]
		if w.last != published-1 && !(w.last == -1 && !w.begun) && !(w.last == -1 && published == 0) && !w.gap {
			fail(i, "the last is %d, of %d", w.last, published)
		}
	}
}
