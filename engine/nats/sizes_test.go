package natsengine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
	"github.com/webwire-go/webwire/session"
)

// TestSizes prints what sessions and topics cost NATS and a node, 10,000 of each in the
// long form: docs/nodes.md has the figures. It fails if a session or a publication
// takes several times as much as it did.
func TestSizes(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	count := 500
	if long {
		count = 10_000
	}
	c := start(t, 1)
	o := c.settings(t, 0)
	o.Classes[0].MaxBytes = 1 << 30
	o.MaxSessionAge = time.Hour
	e, _ := open(t, o, &enginetest.Inlet{})
	info := json.RawMessage(`{"user":"` + strings.Repeat("x", 90) + `"}`) // about 100 bytes
	data := make([]byte, 200)
	topic := func(i int) string { return fmt.Sprint("room.", i) }
	for _, step := range []struct {
		what string
		most uint64 // bytes of a file, for each
		do   func(i int) error
	}{
		{"session", 1500, func(int) error {
			now := time.Now()
			return e.Sessions.Save(context.Background(), session.Session{Key: session.NewKey(), Created: now, LastSeen: now, Info: info})
		}},
		{"topic with one publication of 200 bytes", 1000, func(i int) error {
			_, err := e.Log.Append(context.Background(), topic(i), data, "")
			return err
		}},
		{"publication more", 1000, func(i int) error {
			_, err := e.Log.Append(context.Background(), topic(i), data, "")
			return err
		}},
		{"subscription of the node", 0, func(i int) error { return e.Bus.Subscribe(context.Background(), topic(i)) }},
		{"record of presence of 100 bytes", 0, func(i int) error {
			return e.Roster.Put(context.Background(), topic(i), data[:100])
		}},
	} {
		before, heap := c.store(t), heapInUse()
		begin := time.Now()
		inParallel(t, count, step.do)
		took := time.Since(begin).Seconds()
		after := c.store(t)
		file := (after.Store - before.Store) / uint64(count)
		t.Logf("%d times a %s: %d bytes of file and %d of JetStream's memory each; heap of node and server together: %d bytes each; %.0f/s",
			count, step.what, file, (after.Memory-before.Memory)/uint64(count), (heapInUse()-heap)/int64(count), float64(count)/took)
		if file > step.most {
			t.Errorf("a %s takes %d bytes of file, want at most %d", step.what, file, step.most)
		}
	}
	total := c.store(t)
	t.Logf("NATS: %d streams, %d messages, %d bytes of files, %d of memory", total.Streams, total.Messages, total.Store, total.Memory)
	if total.Streams != 3 {
		t.Errorf("%d streams, want 3 however many topics there are", total.Streams)
	}
}

func (c *cluster) store(t *testing.T) *server.JSInfo {
	t.Helper()
	info, err := c.servers[0].Jsz(nil)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func inParallel(t *testing.T, count int, do func(i int) error) {
	t.Helper()
	const workers = 32
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < count; i += workers {
				if err := do(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// A question takes little memory while it is not answered, and none afterwards. The heap is that of
// the NATS server too, which takes and gives back buffers of 8 MiB, so the median of some rounds
// counts: what questions take, they take in all of them.
func TestMemoryOfQuestions(t *testing.T) {
	const rounds, waiting, answered, room = 3, 100, 10_000, 512 << 10
	o := shared(1).settings(t, 0)
	arrived, release := make(chan bool), make(chan struct{})
	_, there := open(t, o, &enginetest.Inlet{OnAsked: func(_ context.Context, _ engine.NodeID, data []byte) ([]byte, error) {
		if len(data) > 0 {
			arrived <- true
			<-release
		}
		return nil, nil
	}})
	here, _ := open(t, o, &enginetest.Inlet{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ask := func(data string) error {
		_, err := here.Bus.Ask(ctx, there, []byte(data))
		return err
	}
	inParallel(t, 100, func(int) error { return ask("") })
	var whileWaiting, afterwards [rounds]int64
	for i := range rounds {
		before := heapInUse()
		var all sync.WaitGroup
		for range waiting {
			all.Go(func() {
				if err := ask("wait"); err != nil {
					t.Error(err)
				}
			})
			<-arrived
		}
		whileWaiting[i] = heapInUse() - before
		for range waiting {
			release <- struct{}{}
		}
		all.Wait()
		inParallel(t, answered, func(int) error { return ask("") })
		afterwards[i] = heapInUse() - before
	}
	t.Logf("%d bytes while %d questions wait, %d bytes after %d", whileWaiting, waiting, afterwards, answered)
	slices.Sort(whileWaiting[:])
	slices.Sort(afterwards[:])
	if grown := whileWaiting[rounds/2]; grown > waiting*16<<10 {
		t.Errorf("a question that waits takes %d bytes", grown/waiting)
	}
	if grown := afterwards[rounds/2]; grown > room {
		t.Errorf("%d questions that were answered take %d bytes", answered, grown)
	}
}
