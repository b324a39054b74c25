package outbox

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// wire is a connection whose every write is the test's to decide.
type wire struct {
	transport.Conn               // of no other use
	gate           chan struct{} // each Write takes one before it writes; nil: Writes pass
	takes          time.Duration // by each Write

	mu      sync.Mutex
	batches [][]string // what each Write wrote
	fail    error      // of the next Writes

	over chan struct{}
	once sync.Once
}

func newWire() *wire {
	a, _ := memory.Pipe()
	return &wire{Conn: a, over: make(chan struct{})}
}

func (w *wire) Write(msgs ...[]byte) error {
	var batch []string
	for _, m := range msgs {
		batch = append(batch, string(m))
	}
	if w.gate != nil {
		select {
		case <-w.gate:
		case <-w.over:
			return net.ErrClosed
		}
	}
	if w.takes > 0 {
		select {
		case <-time.After(w.takes):
		case <-w.over:
			return net.ErrClosed
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return w.fail
	}
	w.batches = append(w.batches, batch)
	return nil
}

func (w *wire) written() [][]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([][]string(nil), w.batches...)
}

func (w *wire) end() { w.once.Do(func() { close(w.over) }) }

// box is an Outbox and its Owner.
type box struct {
	Outbox
	wire   *wire
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc

	guard      sync.Mutex
	ended      error // why, nil before
	goroutines sync.WaitGroup
}

// open returns an outbox that ends with the test, with a budget of size bytes.
func open(t testing.TB, w *wire, size int) *box {
	t.Helper()
	b := newBox(w, Config{Conn: w, Version: protocol.V1_2, Size: size})
	t.Cleanup(func() {
		b.abort(errTestOver)
		b.goroutines.Wait()
	})
	return b
}

func newBox(w *wire, conf Config) *box {
	b := &box{wire: w}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.Init(conf, b)
	return b
}

func (b *box) Crowded() bool { return false }

func (b *box) Writing() time.Duration { return b.Now() }

func (b *box) Now() time.Duration { return time.Since(boxEpoch) }

func (b *box) Ack() []byte { return nil }

func (b *box) ItemLost(protocol.ID) {}

var boxEpoch = time.Now()

func (b *box) Failed(err error) (away bool) {
	b.guard.Lock()
	defer b.guard.Unlock()
	if b.ended == nil {
		b.ended = err
		b.cancel()
	}
	return false
}

func (b *box) Enter() bool {
	b.guard.Lock()
	defer b.guard.Unlock()
	if b.ended != nil {
		return false
	}
	b.goroutines.Add(1)
	return true
}

func (b *box) Leave() { b.goroutines.Done() }

// abort ends the connection.
func (b *box) abort(cause error) {
	b.Failed(cause)
	b.Fail(cause)
	b.wire.end()
}

// drain waits until all is written, or ctx ends.
func (b *box) drain(ctx context.Context) {
	select {
	case <-b.Empty():
	case <-ctx.Done():
	}
}

// send sends a signal.
func (b *box) send(ctx context.Context, name, text string) error {
	m := signal(name, text)
	return b.Send(ctx, &m)
}

var errTestOver = errors.New("the test is over")

// signal returns a signal of 2 bytes, its name and its payload.
func signal(name, text string) protocol.Message {
	return protocol.Message{Kind: protocol.Signal, Name: name, Payload: protocol.Text(text)}
}
