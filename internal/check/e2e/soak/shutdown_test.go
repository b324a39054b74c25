package soak_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
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

// underLoad starts requests on many connections and returns once all are being handled.
func underLoad(t *testing.T, conns, each int, handle func(context.Context)) (srv *load.Host, all []*client.Client, outcomes chan error) {
	t.Helper()
	var running sync.WaitGroup
	running.Add(conns * each)
	srv = load.Start(t, server.Options{Hooks: server.Hooks{
		OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			running.Done()
			handle(ctx)
			return r.Payload, nil
		},
	}}, load.Site{})
	outcomes = make(chan error, conns*each)
	for i := range conns {
		c := load.NewClient(srv.Addr, client.Options{DisableAutoconnect: true})
		all = append(all, c)
		go func() {
			if err := c.Connect(context.Background()); err != nil {
				t.Errorf("Connect: %v", err)
			}
			for j := range each {
				go func() {
					n := uint64(i*each + j)
					reply, err := c.Request(context.Background(), "r", number(n))
					if got, ok := parseNumber(reply); err == nil && (!ok || got != n) {
						err = errors.New("the reply is that of another request")
					}
					outcomes <- err
				}()
			}
		}()
	}
	running.Wait()
	return srv, all, outcomes
}

// A shutdown under load loses no reply.
func TestShutdownUnderLoad(t *testing.T) {
	const each = 8
	conns, times := load.Either(500, 50), load.Either(100, 5)
	before := runtime.NumGoroutine()
	began := time.Now()
	var longest time.Duration
	lost := 0
	for i := range times {
		release := make(chan struct{})
		srv, all, outcomes := underLoad(t, conns, each, func(context.Context) { <-release })
		// Handlers end as the shutdown begins, or while it waits for them.
		start := time.Now()
		done := make(chan error, 1)
		go func() { done <- srv.Retire(context.Background()) }()
		if i%2 == 0 {
			load.AwaitFor(5*time.Second, func() bool {
				rec := httptest.NewRecorder()
				srv.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
				return rec.Code == http.StatusServiceUnavailable
			})
		}
		close(release)
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		longest = max(longest, time.Since(start))
		for range conns * each {
			if err := <-outcomes; err != nil {
				lost++
				if lost < 5 {
					t.Errorf("Request: %v", err)
				}
			}
		}
		closeAll(all)
	}
	report(t, "shutdowns=%d connections=%d requests=%d lost=%d longest=%.3fs seconds=%.1f",
		times, conns, times*conns*each, lost, longest.Seconds(), time.Since(began).Seconds())
	if lost > 0 {
		t.Errorf("%d replies are lost", lost)
	}
	load.WantGoroutines(t, before)
}

// A shutdown with handlers that do not end is over when its context is.
func TestShutdownOfStuckHandlers(t *testing.T) {
	const (
		each  = 8
		limit = time.Second
	)
	conns := load.Either(500, 50)
	before := runtime.NumGoroutine()
	release := make(chan struct{})
	var told atomic.Int64
	srv, all, outcomes := underLoad(t, conns, each, func(ctx context.Context) {
		<-ctx.Done()
		told.Add(1)
		<-release
	})
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	start := time.Now()
	err := srv.Server.Shutdown(ctx)
	took := time.Since(start)
	failed := 0
	for range conns * each {
		var lost *client.DisconnectedError
		if err := <-outcomes; !errors.As(err, &lost) || !lost.Sent {
			t.Errorf("Request: %v", err)
		} else {
			failed++
		}
	}
	close(release)
	closeAll(all)
	srv.Drop()
	report(t, "connections=%d handlers=%d limit=%v took=%.3fs error=%v reported=%d", conns, conns*each, limit, took.Seconds(), err, failed)
	if err != context.DeadlineExceeded || took > limit+load.Either(300*time.Millisecond, 10*time.Second) {
		t.Errorf("Shutdown: %v after %v", err, took)
	}
	load.WantGoroutines(t, before)
	if told.Load() != int64(conns*each) {
		t.Errorf("the contexts of %d handlers ended", told.Load())
	}
}
