package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport/websocket"
)

const (
	anyone = -1    // number of subscribers
	lost   = "..." // what a listener hears of a gap
	flood  = 500   // messages that the slow subscriber does not read in time
)

// scene plays everything, and checks each step.
func scene(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	step := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	var guests sync.WaitGroup

	s, err := start("127.0.0.1:0")
	if err != nil {
		cancel()
		return err
	}
	defer func() {
		cancel()
		guests.Wait()
		err = errors.Join(err, s.stop(context.WithoutCancel(ctx)))
		if err == nil {
			step("server: shut down")
		}
	}()
	step("server: started")

	var ann, bob, slow, late listener
	enter := func(l *listener, o client.SubscribeOptions, topics ...string) error {
		return l.enter(ctx, &guests, s.addr, o, topics)
	}
	if err := errors.Join(
		enter(&ann, client.SubscribeOptions{}, "news"),
		enter(&bob, client.SubscribeOptions{}, "news", "sport"),
		enter(&slow, client.SubscribeOptions{}, "news"),
	); err != nil {
		return err
	}
	step("ann subscribed to news, bob to news and sport, slow to news")

	publisher := client.New(&websocket.Dialer{URL: "ws://" + s.addr}, client.Options{})
	defer publisher.Close()
	// say publishes, checks the number of subscribers, and waits until the listeners have
	// heard it.
	say := func(topic, text string, wanted int, listeners ...*listener) error {
		n, err := publish(ctx, publisher, topic, text)
		if err != nil {
			return fmt.Errorf("publish %s: %w", topic, err)
		}
		if wanted != anyone && n != wanted {
			return fmt.Errorf("%s has %d subscribers, want %d", topic, n, wanted)
		}
		for _, l := range listeners {
			if err := l.expect(ctx, topic+": "+text); err != nil {
				return err
			}
		}
		return nil
	}
	if err := say("sport", "1:0", 1, &bob); err != nil {
		return err
	}
	step("sport: 1:0          heard by bob")
	if err := say("news", "it rains", 3, &ann, &bob, &slow); err != nil {
		return err
	}
	step("news:  it rains     heard by ann, bob and slow, who fell asleep")

	// Each message is published after ann and bob have heard the one before: what waits,
	// waits for slow alone.
	began := time.Now()
	for i := range flood {
		if err := say("news", fmt.Sprint("drop ", i+1), anyone, &ann, &bob); err != nil {
			return err
		}
	}
	step("news:  %d messages heard by ann and bob in %v", flood, time.Since(began).Round(time.Millisecond))

	waited, kept, err := slow.wakeUp(ctx, fmt.Sprint("news: drop ", flood))
	if err != nil {
		return err
	}
	step("slow   woke up: %d messages had waited for it, %d were lost, and %d the topic had kept", waited, flood-waited-kept, kept)

	if err := enter(&late, client.SubscribeOptions{Since: new(protocol.Position)}, "news"); err != nil {
		return err
	}
	kept, _, err = late.wakeUp(ctx, fmt.Sprint("news: drop ", flood))
	if err != nil {
		return err
	}
	step("late   subscribed to news, and to what the topic had kept: %d messages", kept)
	if err := say("news", "the sun is out", 4, &ann, &bob, &slow, &late); err != nil {
		return err
	}
	step("news:  the sun is out   heard by all four")
	return nil
}

// listener is a subscriber of the scene. It is slow as long as nobody receives from heard.
type listener struct {
	heard  chan string
	failed chan error
}

// enter subscribes to topics, one after the other, until ctx ends.
func (l *listener) enter(ctx context.Context, guests *sync.WaitGroup, addr string, o client.SubscribeOptions, topics []string) error {
	l.heard, l.failed = make(chan string), make(chan error, len(topics))
	hear := func(what string) {
		select {
		case l.heard <- what:
		case <-ctx.Done():
		}
	}
	o.OnGap = func(*client.GapError) { hear(lost) }
	c := client.New(&websocket.Dialer{URL: "ws://" + addr}, client.Options{})
	guests.Go(func() {
		<-ctx.Done()
		c.Close()
	})
	for _, topic := range topics {
		s, err := c.Subscribe(ctx, topic, o)
		if err != nil {
			return err
		}
		guests.Go(func() {
			l.failed <- listen(ctx, s, func(topic, text string) { hear(topic + ": " + text) })
		})
	}
	return nil
}

func (l *listener) next(ctx context.Context) (string, error) {
	select {
	case what := <-l.heard:
		return what, nil
	case err := <-l.failed:
		return "", err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// expect waits for the next message, which must be want.
func (l *listener) expect(ctx context.Context, want string) error {
	got, err := l.next(ctx)
	if err == nil && got != want {
		err = fmt.Errorf("heard %q, want %q", got, want)
	}
	return err
}

// wakeUp listens until the last message, and returns how many came before a gap, and after.
func (l *listener) wakeUp(ctx context.Context, last string) (before, after int, err error) {
	gap := false
	for {
		got, err := l.next(ctx)
		switch {
		case err != nil:
			return before, after, err
		case got == lost:
			gap = true
		case strings.HasPrefix(got, "news: ") && gap:
			after++
		default:
			before++
		}
		if got == last {
			return before, after, nil
		}
	}
}
