package soak_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
)

// Servers that share their sessions are restarted one after the other, under load:
// no session is lost, every failure is reported as what it is, and the clients are
// with the other server soon.
func TestRollingRestarts(t *testing.T) {
	n := load.Either(1000, 40)
	restarts := load.Either(10, 2)
	before := runtime.NumGoroutine()
	dir := t.TempDir()
	open := func() *session.FileStore {
		store, err := session.OpenFileStore(dir, session.FileStoreOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	var executions sync.Map // by number
	options := func() server.Options {
		return server.Options{Sessions: open(), Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				if n, ok := parseNumber(r.Payload); ok {
					count, _ := executions.LoadOrStore(n, new(atomic.Uint32))
					count.(*atomic.Uint32).Add(1)
				}
				return login(ctx, r)
			},
		}}
	}
	hosts := []*load.Host{load.Start(t, options(), load.Site{}), load.Start(t, options(), load.Site{})}
	p := newProxy(t, hosts[0].Addr, hosts[1].Addr)

	var longest atomic.Int64 // that a client was away
	var returns, lostSessions atomic.Int64
	backoff := load.Either(time.Duration(0), 50*time.Millisecond)
	all := make([]*client.Client, n)
	keys := make([]string, n)
	for i := range all {
		var left time.Time
		all[i] = load.NewClient(p.addr(), client.Options{MinBackoff: backoff, Hooks: client.Hooks{
			OnDisconnected: func(context.Context, error) { left = time.Now() },
			OnConnected: func(context.Context) {
				if left.IsZero() {
					return
				}
				returns.Add(1)
				for d := time.Since(left); ; {
					if old := longest.Load(); old >= int64(d) || longest.CompareAndSwap(old, int64(d)) {
						break
					}
				}
				if s, ok := all[i].Session(); !ok || s.Key != keys[i] {
					lostSessions.Add(1)
				}
			},
			OnSessionClosed: func(context.Context) { lostSessions.Add(1) },
		}})
	}
	var logins sync.WaitGroup
	turn := make(chan struct{}, 50)
	for i, c := range all {
		logins.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			reply, err := c.Request(context.Background(), "login", protocol.Text("x"))
			if err != nil {
				t.Errorf("login: %v", err)
			}
			keys[i] = reply.Text()
		})
	}
	logins.Wait()

	var next, succeeded, refused, lost, wrong atomic.Uint64
	var odd atomic.Pointer[error]
	stop := make(chan struct{})
	var working sync.WaitGroup
	for i, c := range all {
		working.Go(func() {
			ticker := time.NewTicker(50*time.Millisecond + time.Duration(i%50)*time.Millisecond)
			defer ticker.Stop()
			for {
				select {
				case <-stop:
					return
				case <-ticker.C:
				}
				id := next.Add(1)
				reply, err := c.Request(context.Background(), "echo", number(id))
				count, executed := executions.Load(id)
				var gone *client.DisconnectedError
				switch {
				case err == nil:
					succeeded.Add(1)
					if got, ok := parseNumber(reply); !ok || got != id || !executed || count.(*atomic.Uint32).Load() != 1 {
						wrong.Add(1)
					}
				case errors.Is(err, protocol.ErrShutdown):
					refused.Add(1)
					if executed {
						wrong.Add(1)
					}
				case errors.As(err, &gone):
					lost.Add(1)
					if executed && !gone.Sent {
						wrong.Add(1)
					}
				default:
					odd.Store(&err)
				}
			}
		})
	}

	back := func() bool {
		for _, c := range all {
			if c.Status() != client.Connected {
				return false
			}
		}
		return true
	}
	began := time.Now()
	for i := range restarts {
		h := hosts[i%2]
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		if err := h.Retire(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		cancel()
		if !load.AwaitFor(soon, back) {
			t.Errorf("clients are not back after %v", soon)
		}
		serving := time.NewTimer(load.Either(2*time.Second, 0)) // for a while all is well
		<-serving.C
		hosts[i%2] = load.Start(t, options(), load.Site{Addr: h.Addr})
	}
	close(stop)
	working.Wait()
	took := time.Since(began)
	for i, c := range all {
		if s, ok := c.Session(); !ok || s.Key != keys[i] {
			lostSessions.Add(1)
		}
	}
	closeAll(all)
	p.close()
	for _, h := range hosts {
		if err := h.Retire(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	}
	report(t, "clients=%d restarts=%d requests=%d succeeded=%d refused=%d lost=%d wrong=%d returns=%d longest=%.2fs sessions lost=%d seconds=%.1f",
		n, restarts, next.Load(), succeeded.Load(), refused.Load(), lost.Load(), wrong.Load(), returns.Load(),
		time.Duration(longest.Load()).Seconds(), lostSessions.Load(), took.Seconds())
	if lostSessions.Load() != 0 || wrong.Load() != 0 || succeeded.Load()+refused.Load()+lost.Load() != next.Load() {
		t.Error("sessions or outcomes are lost")
	}
	if err := odd.Load(); err != nil {
		t.Errorf("a request failed in another way: %v", *err)
	}
	if d := time.Duration(longest.Load()); d > atOnce {
		t.Errorf("a client was away for %v", d)
	}
	if returns.Load() < int64(n*restarts/4) {
		t.Errorf("only %d clients had to come back", returns.Load())
	}
	load.WantGoroutines(t, before)
}
