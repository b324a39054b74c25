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
)

// Requests of 2.0 through a network that resets connections all the time have one outcome
// each, the right reply if any, and are executed at most once.
func TestResets(t *testing.T) {
	const (
		clients = 64
		each    = 16 // requests in flight of a client
		every   = 64 // requests there is a reset, however fast the machine is
	)
	count := load.Either[uint64](1_000_000, 10_000) // requests
	before := runtime.NumGoroutine()
	executions := make([]atomic.Uint32, count)
	srv := load.Start(t, server.Options{Hooks: server.Hooks{
		OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
			if n, ok := parseNumber(r.Payload); ok && n < count {
				executions[n].Add(1)
			}
			return r.Payload, nil
		},
	}}, load.Site{})
	p := newProxy(t, srv.Addr)

	began := time.Now()
	var next, resets, succeeded, failed, unsent, wrong atomic.Uint64
	var odd atomic.Pointer[error]
	var all []*client.Client
	var working sync.WaitGroup
	for range clients {
		c := load.NewClient(p.addr(), client.Options{
			Versions:   []protocol.Version{protocol.V2_0},
			MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond,
		})
		all = append(all, c)
		for range each {
			working.Go(func() {
				for n := next.Add(1) - 1; n < count; n = next.Add(1) - 1 {
					if n%every == 0 && p.resetAny() {
						resets.Add(1)
					}
					reply, err := c.Request(context.Background(), "echo", number(n))
					if err == nil {
						succeeded.Add(1)
						if got, ok := parseNumber(reply); !ok || got != n || executions[n].Load() != 1 {
							wrong.Add(1)
						}
						continue
					}
					failed.Add(1)
					var lost *client.DisconnectedError
					switch {
					case !errors.As(err, &lost):
						odd.Store(&err)
					case !lost.Sent:
						unsent.Add(1)
						if executions[n].Load() != 0 {
							wrong.Add(1)
						}
					}
				}
			})
		}
	}
	working.Wait()
	took := time.Since(began)
	closeAll(all)
	p.close()
	if err := srv.Retire(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	twice := 0
	for i := range executions {
		if executions[i].Load() > 1 {
			twice++
		}
	}
	report(t, "requests=%d succeeded=%d failed=%d unsent=%d wrong=%d doubled=%d resets=%d seconds=%.1f",
		count, succeeded.Load(), failed.Load(), unsent.Load(), wrong.Load(), twice, resets.Load(), took.Seconds())
	if succeeded.Load()+failed.Load() != count || wrong.Load() != 0 || twice != 0 {
		t.Error("requests have not one right outcome each")
	}
	if err := odd.Load(); err != nil {
		t.Errorf("a request failed in another way: %v", *err)
	}
	if succeeded.Load() < count/2 || failed.Load() == 0 || resets.Load() < count/every/2 {
		t.Error("the test did not test what it should")
	}
	load.WantGoroutines(t, before)
}
