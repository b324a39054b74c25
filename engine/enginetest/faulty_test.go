package enginetest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
)

// An engine that can fail keeps the promises of one, also when it fails in the ways
// that they cover.
func TestFaultyKeepsThePromises(t *testing.T) {
	runFaulty(t, func(*engine.Memory) {}, func(e engine.Engine) engine.Engine { return e })
}

// runFaulty runs the suite on memory engines that can fail, behind what wrap makes of
// them.
func runFaulty(t *testing.T, options func(*engine.Memory), wrap func(engine.Engine) engine.Engine) {
	faulty := make(map[engine.Bus]*enginetest.Faulty)
	enginetest.Run(t, enginetest.Harness{
		Nodes: func(_ *testing.T, n int) []engine.Engine {
			turn = make(chan struct{}, 1)
			var memory engine.Memory
			options(&memory)
			var nodes []engine.Engine
			for range n {
				f := enginetest.NewFaulty(memory.Node())
				e := wrap(f.Engine())
				faulty[e.Bus] = f
				nodes = append(nodes, e)
			}
			return nodes
		},
		History: engine.DefaultHistory,
		Disconnect: func(_ *testing.T, e engine.Engine) func() {
			faulty[e.Bus].Cut()
			return func() {
				synctest.Wait() // what is on its way is lost
				faulty[e.Bus].Heal()
			}
		},
		Restart: func(t *testing.T, nodes []engine.Engine) {
			var memory engine.Memory
			for _, e := range nodes {
				if err := faulty[e.Bus].Restart(t.Context(), memory.Node()); err != nil {
					t.Error(err)
				}
			}
		},
		Crash:  func(_ *testing.T, e engine.Engine) { e.Bus.Close() },
		Age:    func(*testing.T) { time.Sleep(engine.DefaultMaxAge) },
		Bubble: true,
	})
}

func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var memory engine.Memory
		f, other := enginetest.NewFaulty(memory.Node()), memory.Node()
		e := f.Engine()
		var in, otherIn enginetest.Inlet
		for _, err := range []error{
			e.Bus.Open(t.Context(), engine.NewNodeID(), &in),
			other.Bus.Open(t.Context(), engine.NewNodeID(), &otherIn),
			e.Bus.Subscribe(t.Context(), "a"),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		defer other.Bus.Close()
		defer e.Bus.Close()
		appended := func(data string) error {
			_, err := e.Log.Append(t.Context(), "a", []byte(data), data)
			return err
		}
		got := func() (all []string) {
			synctest.Wait()
			for _, d := range in.Deliveries("a") {
				all = append(all, string(d.Data))
			}
			return all
		}

		// An acknowledgement is lost, and the repeated call is recognised.
		f.Break(enginetest.Append, enginetest.Times(1, enginetest.FailAfter(engine.ErrUnconfirmed)))
		if err := appended("1"); !errors.Is(err, engine.ErrUnconfirmed) {
			t.Errorf("a lost acknowledgement: %v", err)
		}
		if err := appended("1"); err != nil {
			t.Errorf("the repeated Append: %v", err)
		}
		f.Mend(enginetest.Append)
		if n := f.Calls(enginetest.Append); n != 2 {
			t.Errorf("%d calls", n)
		}
		if want := []string{"1"}; !slices.Equal(got(), want) {
			t.Errorf("delivered %q, want %q", got(), want)
		}

		// Some deliveries vanish.
		f.Lose(2)
		for _, s := range []string{"2", "3", "4"} {
			if err := appended(s); err != nil {
				t.Error(err)
			}
		}
		if want := []string{"1", "4"}; !slices.Equal(got(), want) || in.Losses() != 0 {
			t.Errorf("delivered %q, want %q; told %d losses", got(), want, in.Losses())
		}

		// The engine is slow, and the caller does not wait for ever.
		f.Break(enginetest.Tops, enginetest.Delay(time.Minute))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := e.Log.Tops(ctx, []string{"a"}); err != context.DeadlineExceeded {
			t.Errorf("a slow call: %v", err)
		}

		// Deliveries come late.
		f.Hold()
		if err := appended("5"); err != nil {
			t.Error(err)
		}
		if want := []string{"1", "4"}; !slices.Equal(got(), want) {
			t.Errorf("while they are held: %q, want %q", got(), want)
		}
		f.Release()
		if want := []string{"1", "4", "5"}; !slices.Equal(got(), want) {
			t.Errorf("delivered %q, want %q", got(), want)
		}

		// The node is cut off at the worst moment.
		f.Break(enginetest.Read, enginetest.Times(1, enginetest.Before(f.Cut)))
		if _, err := e.Log.Read(t.Context(), "a", engine.Position{}, 10); !errors.Is(err, engine.ErrAway) {
			t.Errorf("Read: %v", err)
		}
		e.Bus.Unsubscribe("a")
		f.Heal()
		if in.Losses() != 1 {
			t.Errorf("told %d losses", in.Losses())
		}
		if err := appended("6"); err != nil {
			t.Error(err)
		}
		if want := []string{"1", "4", "5"}; !slices.Equal(got(), want) {
			t.Errorf("after Unsubscribe: %q, want %q", got(), want)
		}
	})
}
