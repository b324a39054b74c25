package soak_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
)

// Clients whose server was away come back with their sessions, soon, not all at once,
// and without knocking all the time.
func TestServerReturns(t *testing.T) {
	n := load.Either(2000, 100)
	away := load.Either(5*time.Second, 500*time.Millisecond)
	before := runtime.NumGoroutine()
	store := &session.MemoryStore{}
	options := func() server.Options {
		return server.Options{Sessions: store, Hooks: server.Hooks{OnRequest: login}}
	}
	srv := load.Start(t, options(), load.Site{})

	restored := make(chan time.Time, n)
	type user struct {
		*client.Client
		key string
	}
	users := make([]*user, n)
	all := make([]*client.Client, n)
	for i := range users {
		u := &user{}
		u.Client = load.NewClient(srv.Addr, client.Options{
			MinBackoff: load.Either(time.Duration(0), 100*time.Millisecond), MaxBackoff: load.Either(time.Duration(0), time.Second),
			Hooks: client.Hooks{
				OnConnected: func(context.Context) {
					if s, ok := u.Session(); ok && u.Stats().Connects > 1 && s.Key == u.key {
						restored <- time.Now()
					}
				},
			},
		})
		users[i], all[i] = u, u.Client
	}
	// Logged in a few at a time: that is not what is tested.
	var logins sync.WaitGroup
	turn := make(chan struct{}, 50)
	for _, u := range users {
		logins.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			reply, err := u.Request(context.Background(), "login", protocol.Text("x"))
			if err != nil {
				t.Errorf("login: %v", err)
			}
			u.key = reply.Text()
		})
	}
	logins.Wait()
	made := make([]uint64, n)
	for i, u := range users {
		made[i] = u.Stats().Attempts
	}
	srv.Drop()
	timer := time.NewTimer(away)
	<-timer.C

	srv = load.Start(t, options(), load.Site{Addr: srv.Addr})
	back := time.Now()
	var times []time.Duration
	limit := time.NewTimer(2 * soon)
	for range n {
		select {
		case at := <-restored:
			times = append(times, at.Sub(back))
		case <-limit.C:
			t.Fatalf("%d of %d clients are back after %v", len(times), n, 2*soon)
		}
	}
	most := uint64(0)
	for i, u := range users {
		most = max(most, u.Stats().Attempts-made[i])
	}
	closeAll(all)
	srv.Drop()

	slices.Sort(times)
	last := times[n-1]
	ratio := busiest(times, 250*time.Millisecond) / (float64(n) / last.Seconds())
	report(t, "clients=%d away=%v restored=%d last=%.2fs median=%.2fs peak/mean=%.2f attempts<=%d",
		n, away, len(times), last.Seconds(), times[n/2].Seconds(), ratio, most)
	if last > soon {
		t.Errorf("the last client was back after %v", last)
	}
	if load.Full && ratio > 2 {
		t.Errorf("the peak is %.2f × the mean", ratio)
	}
	if most > attempts {
		t.Errorf("a client made %d attempts", most)
	}
	load.WantGoroutines(t, before)
}

// login answers "login" with the key of a new session, and echoes everything else.
func login(ctx context.Context, r *server.Request) (protocol.Payload, error) {
	if r.Name != "login" {
		return r.Payload, nil
	}
	s, err := r.Conn.CreateSession(ctx, nil)
	return protocol.Text(s.Key), err
}
