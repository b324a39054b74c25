package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/transport/websocket"
)

// attempt is what became of a request.
type attempt struct {
	text         string
	began, ended time.Time
	err          error
}

// user is a client that says something all the time.
type user struct {
	*client.Client

	mu         sync.Mutex
	attempts   []attempt
	left, back time.Time // after the node was killed
}

func newUser(c *cluster) *user {
	u := &user{}
	left := func(context.Context, error) {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.left.IsZero() {
			u.left = time.Now()
		}
	}
	back := func(context.Context) {
		u.mu.Lock()
		defer u.mu.Unlock()
		if !u.left.IsZero() && u.back.IsZero() {
			u.back = time.Now()
		}
	}
	u.Client = client.New(websocket.Dialer{URL: fmt.Sprint("ws://", c.balancer.addr(), "/ws")}, client.Options{
		Hooks: client.Hooks{OnAway: left, OnDisconnected: left, OnBack: back, OnConnected: back},
	})
	return u
}

// talk makes one request after the other, with pauses.
func (u *user) talk(ctx context.Context, name string, pause time.Duration) {
	for n := 0; ctx.Err() == nil; n++ {
		a := attempt{text: fmt.Sprint(name, " ", n), began: time.Now()}
		_, a.err = client.Call[string](context.Background(), u.Client, "say", said{"lobby", name, a.text})
		a.ended = time.Now()
		u.mu.Lock()
		u.attempts = append(u.attempts, a)
		u.mu.Unlock()
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// said returns how many requests have been answered that began after a time.
func (u *user) said(since time.Time) (n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, a := range u.attempts {
		if a.err == nil && a.began.After(since) {
			n++
		}
	}
	return n
}

// The process of a node is killed under load: its clients go on at other nodes, and each request
// that was in flight ends with the truth: none that was executed is reported as not executed.
func TestKilledNode(t *testing.T) {
	users, long := 15, os.Getenv("WEBWIRE_SOAK") != ""
	if long {
		users = 300
	}
	c, err := startCluster("127.0.0.1:0", "", 1, 3, &output{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	ear := listen(t, c.node(0).addr) // which is not killed
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var talking sync.WaitGroup
	var all []*user
	for i := range users {
		u := newUser(c)
		defer u.Close()
		all = append(all, u)
		pause := time.Duration(0) // some have a request in flight nearly all the time
		if i >= 15 {
			pause = time.Second
		}
		talking.Go(func() { u.talk(ctx, fmt.Sprint("user ", i), pause) })
	}
	everybody := func(since time.Time) {
		t.Helper()
		for _, u := range all {
			eventually(t, "that everybody is heard", func() bool { return u.said(since) >= 3 })
		}
	}
	everybody(time.Time{})
	killed := time.Now()
	if err := c.kill(1); err != nil {
		t.Fatal(err)
	}
	dead := time.Now()
	everybody(dead)
	stop()
	talking.Wait()

	heard := make(map[string]bool)
	eventually(t, "that everything is heard", func() bool {
		got, err := ear.heard()
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range got {
			heard[text] = true
		}
		for _, u := range all {
			for _, a := range u.attempts {
				if a.err == nil && !heard[a.text] {
					return false
				}
			}
		}
		return true
	})
	var moved, lost int
	var back, ended time.Duration
	for i, u := range all {
		u.mu.Lock()
		before := lost
		for _, a := range u.attempts {
			if !errors.As(a.err, new(*client.DisconnectedError)) {
				continue // it was answered, with an error of NATS for instance
			}
			lost++
			ended = max(ended, a.ended.Sub(killed))
			if heard[a.text] && !client.MaybeExecuted(a.err) {
				t.Errorf("%q was said, and the client has learned: %v", a.text, a.err)
			}
			if a.ended.Before(killed) {
				t.Errorf("before the node was killed: %v", a.err)
			}
		}
		if !u.left.IsZero() {
			moved++
			back = max(back, u.back.Sub(killed))
		}
		if lost-before > 1 || lost > before && u.left.IsZero() { // one at a time is in flight
			t.Errorf("client %d has lost %d requests", i, lost-before)
		}
		u.mu.Unlock()
	}
	t.Logf("%d of %d clients were at the node, and back after at most %v; %d requests were in flight there and lost, after at most %v",
		moved, users, back.Round(time.Millisecond), lost, ended.Round(time.Millisecond))
	if moved == 0 || moved == users {
		t.Errorf("%d of %d clients were at the node", moved, users)
	}
	// How long it takes depends on the machine. A quiet one is asked for in the long form.
	if long && max(back, ended) > 3*time.Second {
		t.Error("clients may take 3s to be back")
	}
}
