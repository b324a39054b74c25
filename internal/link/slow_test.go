package link

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// slowWire is a wire to a peer that reads slowly: each write takes its time.
type slowWire struct {
	*wire
	takes time.Duration
}

func (w slowWire) Write(msgs ...[]byte) error {
	select {
	case <-time.After(w.takes):
	case <-w.over:
		return net.ErrClosed
	}
	return w.wire.Write(msgs...)
}

// feed adds a short signal every so often until the test is over, as a broadcast does.
func feed(t *testing.T, l *running, every time.Duration) {
	msg, err := protocol.V1_2.Append(nil, signal("s", "x"))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = l.TrySendEncoded(msg) // there is room, or the link has ended
			case <-l.Context().Done():
				return
			}
		}
	}()
}

// Short messages do not keep a long one out of the outbox: neither those of senders
// that wait for room as well, nor those of senders that do not.
func TestLongMessageGetsItsTurn(t *testing.T) {
	for name, beside := range map[string]func(*testing.T, *running){
		"who waits": func(_ *testing.T, l *running) {
			for range 16 {
				go func() {
					for l.Send(l.Context(), signal("s", strings.Repeat("x", 10_000))) == nil {
					}
				}()
			}
		},
		"who does not": func(t *testing.T, l *running) { feed(t, l, 500*time.Microsecond) },
	} {
		for _, size := range []int{300_000, 1 << 20, 3 << 20} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := run(t, config(slowWire{newWire(), time.Millisecond}), ignoring{})
					beside(t, l)
					time.Sleep(20 * time.Millisecond)
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					if err := l.Send(ctx, signal("long", strings.Repeat("x", size))); err != nil {
						t.Errorf("%d bytes: %v", size, err)
					}
				})
			})
		}
	}
}

// Senders that wait for room and give up, or whose connection ends, leave the turn to
// the next.
func TestTurnIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.gate = make(chan struct{})
		conf := config(w)
		conf.OutboxSize = 1000
		l := run(t, conf, ignoring{})
		long := signal("s", strings.Repeat("x", 900))
		go func() { _ = l.Send(t.Context(), long) }() // it is being written, and fills the outbox
		synctest.Wait()
		outcomes := make([]chan error, 4)
		ctx, cancel := context.WithCancel(t.Context())
		for i := range outcomes {
			outcomes[i] = make(chan error, 1)
			within := t.Context()
			if i < 2 {
				within = ctx // the one whose turn it is, and one behind it
			}
			go func() { outcomes[i] <- l.Send(within, long) }()
			synctest.Wait()
		}
		cancel()
		for i := range 2 {
			if err := <-outcomes[i]; err != context.Canceled {
				t.Errorf("sender %d: %v", i, err)
			}
		}
		w.gate <- struct{}{}
		if err := <-outcomes[2]; err != nil {
			t.Errorf("the next: %v", err)
		}
		l.Abort(errTestOver)
		if err := <-outcomes[3]; err == nil {
			t.Error("the last one was told that its message was added")
		}
	})
}

// Request returns when its time is over, even if it writes what others send.
func TestRequestTimeoutWhileFlushing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := run(t, config(slowWire{newWire(), 9 * time.Second}), ignoring{})
		feed(t, l, time.Second)
		began := time.Now()
		_, err := l.Request(context.Background(), request("a"), 10*time.Second, nil)
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 10*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// Request returns when the reply is there, even if it writes what others send.
func TestReplyWhileFlushing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		l := run(t, config(slowWire{w, 5 * time.Second}), ignoring{})
		feed(t, l, time.Second)
		time.AfterFunc(6*time.Second, func() {
			reply, _ := protocol.V1_2.Append(nil, protocol.Message{Kind: protocol.Reply, ID: protocol.NewID(1 << indexBits), Payload: protocol.Text("y")})
			w.arrive(reply)
		})
		began := time.Now()
		_, err := l.Request(context.Background(), request("a"), time.Minute, nil)
		if took := time.Since(began); err != nil || took != 6*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// What was let go is written even if the reader holds back again before the goroutine
// that is to write it begins.
func TestLetMeansWrite(t *testing.T) {
	w := newWire()
	o := outbox{conf: &Config{Conn: w, Version: protocol.V1_2, OutboxSize: 1 << 20}, owner: &informed{t: t}}
	o.hold()
	m := signal("s", "x")
	if flush, err := o.add(t.Context(), &m, nil); flush || err != nil {
		t.Fatalf("add: %t, %v", flush, err)
	}
	if !o.let() {
		t.Fatal("nothing to flush")
	}
	o.hold()
	o.flush(maxRounds)
	if n := len(w.written()); n != 1 {
		t.Errorf("%d writes", n)
	}
}
