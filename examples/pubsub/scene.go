package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

const (
	anyone   = -1       // number of subscribers
	bulkSize = 64 << 10 // of the messages that the slow subscriber does not read
	bulkMax  = 10000    // of them, far more than the system buffers
)

// scene plays everything, and checks each step.
func scene(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	step := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }

	cut := make(chan error, 8)
	s, err := start("127.0.0.1:0", &broker{left: func(reason error) { cut <- reason }})
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, s.stop(context.WithoutCancel(ctx)))
		if err == nil {
			step("server: shut down")
		}
	}()
	step("server: started")

	ann, bob := newListener("news"), newListener("news", "sport")
	slow := newListener("news")
	slow.wake = make(chan struct{})
	for name, l := range map[string]*listener{"ann": ann, "bob": bob, "slow": slow} {
		defer l.connect(s.addr).Close()
		if err := await(ctx, l.subscribed); err != nil {
			return fmt.Errorf("%s: subscribe: %w", name, err)
		}
	}
	step("ann subscribed to news, bob to news and sport, slow to news")

	publisher := client.New(&websocket.Dialer{URL: "ws://" + s.addr}, client.Options{})
	defer publisher.Close()
	// say publishes, waits until the listeners have heard it, and returns the number of
	// subscribers. It fails if that number is not the wanted one.
	say := func(topic, text string, wanted int, listeners ...*listener) (int, error) {
		n, err := publish(ctx, publisher, topic, text)
		if err != nil {
			return n, fmt.Errorf("publish %s: %w", topic, err)
		}
		if wanted != anyone && n != wanted {
			return n, fmt.Errorf("%s has %d subscribers, want %d", topic, n, wanted)
		}
		for _, l := range listeners {
			if err := l.expect(ctx, topic+": "+text); err != nil {
				return n, err
			}
		}
		return n, nil
	}
	if _, err := say("sport", "1:0", 1, bob); err != nil {
		return err
	}
	step("sport: 1:0         heard by bob")
	if _, err := say("news", "it rains", 3, ann, bob); err != nil {
		return err
	}
	step("news:  it rains    heard by ann and bob; slow fell asleep over it")

	// Each message is published after ann and bob have heard the one before: whatever
	// is queued is queued for slow.
	began, count := time.Now(), 0
	for connected := true; connected; count++ {
		if count == bulkMax {
			return fmt.Errorf("slow was sent %d bytes and is still connected", bulkMax*bulkSize)
		}
		n, err := say("news", strings.Repeat("x", bulkSize), anyone, ann, bob)
		if err != nil {
			return err
		}
		connected = n == 3
	}
	step("news:  %d messages of %d KiB in %v heard by ann and bob, then the server cut slow off",
		count, bulkSize>>10, time.Since(began).Round(time.Millisecond))
	if reason := await(ctx, cut); !errors.Is(reason, server.ErrSlowConsumer) {
		return fmt.Errorf("slow was disconnected: %w", reason)
	}

	close(slow.wake)
	if err := await(ctx, slow.lost); err == nil {
		return errors.New("slow did not notice the disconnection")
	}
	if err := await(ctx, slow.subscribed); err != nil {
		return fmt.Errorf("slow: subscribe again: %w", err)
	}
	step("slow   woke up, read what there was, connected again and subscribed")
	if _, err := say("news", "the sun is out", 3, ann, bob, slow); err != nil {
		return err
	}
	step("news:  the sun is out   heard by ann, bob and slow")
	return nil
}

// listener is a subscriber of the scene.
type listener struct {
	topics     []string
	wake       chan struct{} // not nil: it does not listen until this is closed
	heard      chan string
	subscribed chan error
	lost       chan error
}

func newListener(topics ...string) *listener {
	return &listener{
		topics:     topics,
		heard:      make(chan string, 8),
		subscribed: make(chan error, 8),
		lost:       make(chan error, 8),
	}
}

func (l *listener) connect(addr string) *client.Client {
	c := subscribe(&websocket.Dialer{URL: "ws://" + addr, NetDial: dialSmall}, subscription{
		topics:     l.topics,
		subscribed: func(err error) { l.subscribed <- err },
		lost: func(reason error) {
			if !errors.Is(reason, client.ErrClosed) {
				l.lost <- reason
			}
		},
		heard: func(topic string, p protocol.Payload) {
			if l.wake != nil {
				<-l.wake
			}
			if l.wake == nil || len(p.Data) < bulkSize { // slow skips those
				l.heard <- topic + ": " + p.Text()
			}
		},
	}, client.Options{
		InboxSize:    bulkSize,
		WriteTimeout: time.Minute, // longer than the server waits
	})
	go c.Connect(context.Background()) // until Close; subscribed reports success
	return c
}

// dialSmall dials connections with a small receive buffer in the operating system.
func dialSmall(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	if tcp, ok := conn.(*net.TCPConn); ok {
		err = tcp.SetReadBuffer(bulkSize)
	}
	return conn, err
}

// expect waits until the listener hears a message. slow may hear others before it.
func (l *listener) expect(ctx context.Context, want string) error {
	for {
		select {
		case got := <-l.heard:
			if got == want {
				return nil
			}
			if l.wake == nil {
				return fmt.Errorf("heard %.40q, want %.40q", got, want)
			}
		case <-ctx.Done():
			return fmt.Errorf("waiting for %.40q: %w", want, ctx.Err())
		}
	}
}

func await(ctx context.Context, event <-chan error) error {
	select {
	case err := <-event:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
