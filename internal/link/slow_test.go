package link

import (
	"context"
	"errors"
	"net"
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
