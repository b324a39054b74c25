package natsengine_test

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
)

// NATS that takes nothing any more, but has not closed the connection, is given up, and no call
// waits for it for long.
func TestServerTakesNothing(t *testing.T) {
	c := shared(1)
	p := newProxy(t, c.url)
	o := c.settings(t, 0)
	o.URL, o.Connect = p.url(), append(o.Connect, nats.Timeout(2*time.Second)) // its default
	away := make(chan struct{}, 1)
	o.OnAway = func(error) {
		select {
		case away <- struct{}{}:
		default:
		}
	}
	e, _ := open(t, o, &enginetest.Inlet{})
	goOn := sync.OnceFunc(p.stall())
	defer goOn()
	const most = 15 * time.Second // about 4 s, on a machine that has time
	ended := time.After(most)
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			began := time.Now()
			_ = e.Bus.Publish(ctx, "busy", make([]byte, 64<<10)) // more than the network holds, soon
			cancel()
			if took := time.Since(began); took > most {
				t.Errorf("Publish with a second to go took %v", took)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	select {
	case <-away:
	case <-ended:
		t.Errorf("after %v the loss of the connection is not noticed", most)
	}
	close(stop)
	select {
	case <-stopped:
	case <-time.After(most):
		t.Error("Publish with a second to go does not return")
		goOn()
		<-stopped
	}
}

// A node that is connecting to NATS again is asked again, and is not taken for one that is gone.
func TestAskWhileReconnecting(t *testing.T) {
	c := shared(1)
	p := newProxy(t, c.url)
	o := c.settings(t, 0)
	o.URL = p.url()
	back := make(chan struct{}, 1)
	o.OnBack = func() { back <- struct{}{} }
	_, there := open(t, o, &enginetest.Inlet{OnAsked: func(context.Context, engine.NodeID, []byte) ([]byte, error) { return nil, nil }})
	o.URL, o.OnBack = c.url, nil
	here, _ := open(t, o, &enginetest.Inlet{})
	ask := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := here.Bus.Ask(ctx, there, []byte("x"))
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "that the node is known", func() bool {
		return slices.Contains(slices.Collect(here.Roster.Nodes()), there)
	})
	for range 3 {
		p.cut()
		p.heal()
		for again := true; again; {
			select {
			case <-back:
				again = false
			default:
			}
			if err := ask(); errors.Is(err, engine.ErrNoNode) { // others may be lost on the way
				t.Errorf("Ask of a node that is connecting again: %v", err)
			}
		}
	}
}

// Whoever asks a node that is connecting again learns that its own time is over, not that there is
// no such node.
func TestAskEndsInTime(t *testing.T) {
	c := shared(1)
	p := newProxy(t, c.url)
	o := c.settings(t, 0)
	o.URL = p.url()
	_, there := open(t, o, &enginetest.Inlet{OnAsked: func(context.Context, engine.NodeID, []byte) ([]byte, error) { return nil, nil }})
	o.URL = c.url
	here, _ := open(t, o, &enginetest.Inlet{})
	if _, err := here.Bus.Ask(t.Context(), there, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "that the node is known", func() bool {
		return slices.Contains(slices.Collect(here.Roster.Nodes()), there)
	})
	p.cut()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := here.Bus.Ask(ctx, there, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Ask returns %v", err)
	}
}

// failing is a connection of which a long write fails, once, without anything being written.
type failing struct {
	net.Conn
	fails *atomic.Bool
}

func (c failing) Write(p []byte) (int, error) {
	if len(p) > 16<<10 && c.fails.CompareAndSwap(true, false) {
		return 0, os.ErrDeadlineExceeded
	}
	return c.Conn.Write(p)
}

type failingDialer struct{ fails atomic.Bool }

func (d *failingDialer) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	return failing{c, &d.fails}, err
}

// What could not be written is lost, and a subscription may be a part of it: the connection ends.
func TestWriteFails(t *testing.T) {
	o := shared(1).settings(t, 0)
	d := new(failingDialer)
	o.Connect = append(o.Connect, nats.SetCustomDialer(d))
	away := make(chan error, 1)
	o.OnAway = func(err error) { away <- err }
	e, _ := open(t, o, &enginetest.Inlet{})
	d.fails.Store(true)
	_ = e.Bus.Publish(t.Context(), "long", make([]byte, 64<<10))
	select {
	case <-away:
	case <-time.After(10 * time.Second):
		t.Error("the connection goes on")
	}
}
