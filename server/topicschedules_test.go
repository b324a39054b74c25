package server_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

var (
	schedules     = flag.Int("schedules", 300, "number of random schedules of TestTopicSchedules; 10000 with WEBWIRE_SOAK=1")
	firstSchedule = flag.Int("schedules.first", 0, "the first of them")
)

// Whatever happens, a subscriber sees the topic in its order without holes or doubles, or
// learns of a gap where it is. In every second schedule the engine fails too.
func TestTopicSchedules(t *testing.T) {
	n := *schedules
	if os.Getenv("WEBWIRE_SOAK") != "" {
		n = max(n, 10_000)
	}
	for seed := range n {
		seed += *firstSchedule
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
	anew  bool // that gap is one between epochs: it is told even if nothing was missed
}

// everyThird is a fault of every third call.
func everyThird() enginetest.Fault {
	var n atomic.Uint64
	return func(ctx context.Context, next func(context.Context) error) error {
		if n.Add(1)%3 == 0 {
			return engine.ErrAway
		}
		return next(ctx)
	}
}

func heal(f *enginetest.Faulty) {
	f.Heal()
	f.Release()
	f.Mend(enginetest.Read)
	f.Mend(enginetest.Tops)
	f.Mend(enginetest.Subscribe)
}

func runSchedule(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	kept := 5 + rng.IntN(150)
	memory := &engine.Memory{History: kept}
	var faults []*enginetest.Faulty
	var nodes []*server.Server
	for range 2 {
		f := enginetest.NewFaulty(memory.Node())
		faults = append(faults, f)
		nodes = append(nodes, newTopical(t, server.Options{Engine: f.Engine(), Topics: history, ResumeWindow: -1}))
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
				w.anew = w.anew || w.at != nil && g.Next.Epoch != w.at.Epoch
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
				case w.gap && (n <= w.last || n == w.last+1 && !w.anew):
					fail(i, "%d after %d and a gap, of which nothing is lost", n, w.last)
				case !w.gap && n != w.last+1:
					fail(i, "%d after %d", n, w.last)
				}
				w.last, w.gap, w.anew = n, false, false
				w.at = &protocol.Position{Epoch: w.at.Epoch, Offset: m.Number}
			case protocol.ReplyFailure: // the engine failed
				if err := m.Err(); !errors.Is(err, protocol.ErrUnavailable) {
					fail(i, "subscribe: %v", err)
				}
				w.conn.Abort()
				w.peer = nil
			default:
				fail(i, "got %v", m.Kind)
			}
		}
	}
	connected := func(i, node int) {
		w := &followers[i]
		w.peer = connectDeaf(t, context.Background(), nodes[node], protocol.V3_0)
		w.listenFor(8 << 10) // more than a schedule publishes
		w.ref++
		w.subscribe(1, w.ref, "room", w.at)
	}
	for i := range followers {
		connected(i, i%len(nodes))
		settle(i)
	}
	moves := 10
	if seed%2 == 1 {
		moves = 14
	}
	for range 10 + rng.IntN(30) {
		i, f := rng.IntN(len(followers)), faults[rng.IntN(len(faults))]
		switch rng.IntN(moves) {
		case 0, 1, 2, 3:
			n := 1 + rng.IntN(4)
			if rng.IntN(12) == 0 {
				n = rng.IntN(160)
			}
			node := rng.IntN(len(nodes))
			say("publish %d at %d\n", n, node)
			for range n {
				_, err := nodes[node].Topic("room").Publish(t.Context(), "m", protocol.Text(strconv.Itoa(published)))
				if errors.Is(err, engine.ErrAway) {
					break
				}
				if err != nil {
					fail(i, "publish: %v", err)
				}
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
		case 10:
			say("cut a node\n")
			f.Cut()
		case 11:
			say("hold, and fail\n")
			f.Hold()
			f.Break(enginetest.Read, everyThird())
			f.Break(enginetest.Tops, everyThird())
			f.Break(enginetest.Subscribe, everyThird())
		case 12:
			say("heal\n")
			heal(f)
		case 13:
			if rng.IntN(3) == 0 {
				say("restart the engine\n")
				memory = &engine.Memory{History: kept}
				for _, f := range faults {
					f.Release() // closing the old engine waits for it
					if err := f.Restart(t.Context(), memory.Node()); err != nil {
						fail(i, "restart: %v", err)
					}
				}
			}
		}
	}
	for _, f := range faults {
		f.Lose(-1 << 20)
		heal(f)
	}
	time.Sleep(time.Second) // calls of the engine that wait for something fail
	for i := range followers {
		settle(i) // its subscribe may have failed
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
