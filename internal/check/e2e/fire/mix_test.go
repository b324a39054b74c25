package fire_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
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
	"github.com/webwire-go/webwire/transport/websocket"
)

// sockets dials connections and can reset them.
type sockets struct {
	mu    sync.Mutex
	conns map[*socket]struct{}
}

type socket struct {
	*net.TCPConn
	of *sockets
}

func (s *sockets) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &socket{conn.(*net.TCPConn), s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
	return c, nil
}

func (c *socket) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.TCPConn.Close()
}

// reset resets any of the connections.
func (s *sockets) reset() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.SetLinger(0) // it is closed already
		_ = c.TCPConn.Close()
		delete(s.conns, c)
		return true
	}
	return false
}

// Everything at once for a long time: connect, request, cancel, stream, signal, topic,
// session, kill. Nothing grows.
func TestEverythingForLong(t *testing.T) {
	during := load.Either(30*time.Minute, 250*time.Millisecond)
	if d, err := time.ParseDuration(os.Getenv("WEBWIRE_SOAK_TIME")); err == nil && load.Full {
		during = d
	}
	clients := load.Either(32, 8)
	before := runtime.NumGoroutine()
	var mux server.Mux
	mux.Request("echo", echo)
	mux.Request("slow", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		select {
		case <-ctx.Done():
			return protocol.Payload{}, ctx.Err()
		case <-time.After(50 * time.Millisecond):
			return r.Payload, nil
		}
	})
	mux.Request("login", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		_, err := r.Conn.CreateSession(ctx, map[string]int{"user": 1})
		return protocol.Payload{}, err
	})
	mux.Stream("stream", func(_ context.Context, r *server.Request, send func(protocol.Payload) error) error {
		for range 20 {
			if err := send(r.Payload); err != nil {
				return err
			}
		}
		return nil
	})
	srv := load.Start(t, server.Options{ // whose clients are of this process, so that they count too
		Handler:      &mux,
		ResumeWindow: load.Either(time.Second, 100*time.Millisecond),
		Sessions:     &session.MemoryStore{MaxAge: 10 * time.Second},
		Topics:       func(string) server.TopicOptions { return server.TopicOptions{History: true} },
		Hooks:        server.Hooks{OnSubscribe: func(context.Context, *server.Conn, string) (any, error) { return nil, nil }},
	}, load.Site{})
	network := &sockets{conns: map[*socket]struct{}{}}
	newOne := func() *client.Client {
		return client.New(websocket.Dialer{URL: "ws://" + srv.Addr + "/", NetDial: network.dial}, client.Options{
			MinBackoff: 10 * time.Millisecond, MaxBackoff: 200 * time.Millisecond, Logger: load.Quiet,
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var pause sync.RWMutex // held for reading by each client for as long as it exists
	var done, failed, kills, sessions atomic.Int64
	var working sync.WaitGroup
	for i := range clients {
		rng := rand.New(rand.NewPCG(7, uint64(i)))
		working.Go(func() {
			for ctx.Err() == nil {
				pause.RLock()
				c := newOne()
				for range 20 + rng.IntN(load.Either(200, 20)) {
					if ctx.Err() != nil {
						break
					}
					if err := oneDeed(ctx, c, srv.Server, rng, &sessions); err != nil {
						failed.Add(1)
					}
					done.Add(1)
				}
				_ = c.Close()
				pause.RUnlock()
			}
		})
	}
	working.Go(func() {
		ticker := time.NewTicker(load.Either(100*time.Millisecond, 20*time.Millisecond))
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if network.reset() {
					kills.Add(1)
				}
			}
		}
	})
	// Measured while there are no clients: what they have in flight differs each time.
	measure := func() (bytes int64, goroutines, files int) {
		pause.Lock()
		defer pause.Unlock()
		if !load.Await(func() bool { return srv.Stats().Open == 0 }) { // nor any to come back
			t.Error("connections are left")
		}
		return load.Objects(), runtime.NumGoroutine(), openFiles()
	}
	time.Sleep(during / 5) // until everything has its memory
	firstHeap, firstGoroutines, firstFiles := measure()
	measured := time.Now()
	time.Sleep(during * 4 / 5)
	lastHeap, lastGoroutines, lastFiles := measure()
	per10 := float64(lastHeap-firstHeap) / float64(firstHeap) * 100 * float64(10*time.Minute) / float64(time.Since(measured))
	stop()
	working.Wait()
	load.Figure("everything for long", "heap < 1 % per 10 min, descriptors and goroutines flat",
		"%v: %d operations, %d failed, %d kills, %d sessions; heap %d KiB then %d KiB, %+.2f %% per 10 min; goroutines %d then %d; descriptors %d then %d",
		during, done.Load(), failed.Load(), kills.Load(), sessions.Load(), firstHeap>>10, lastHeap>>10, per10, firstGoroutines, lastGoroutines, firstFiles, lastFiles)
	if done.Load() == 0 || failed.Load() == done.Load() {
		t.Errorf("%d of %d operations failed", failed.Load(), done.Load())
	}
	// What is kept of the history differs by that much each time.
	load.Within(t, "heap", lastHeap, firstHeap+firstHeap/100*int64(during/(10*time.Minute))+512<<10)
	load.Within(t, "goroutines", lastGoroutines, firstGoroutines+clients)
	load.Within(t, "descriptors", lastFiles, firstFiles+clients)
	srv.Drop()
	load.WantGoroutines(t, before)
}

func oneDeed(ctx context.Context, c *client.Client, srv *server.Server, rng *rand.Rand, sessions *atomic.Int64) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	payload := protocol.Bytes(make([]byte, rng.IntN(2000)))
	var err error
	switch rng.IntN(10) {
	case 0, 1, 2:
		_, err = c.Request(ctx, "echo", payload)
	case 3: // and cancel
		within, cancel := context.WithTimeout(ctx, time.Duration(rng.IntN(60))*time.Millisecond)
		defer cancel()
		_, _ = c.Request(within, "slow", payload) // either way
	case 4:
		n := rng.IntN(25)
		for _, err = range c.Stream(ctx, "stream", payload) {
			if n--; n < 0 || err != nil {
				break
			}
		}
	case 5:
		err = c.Signal(ctx, "signal", payload)
	case 6:
		topic := fmt.Sprint("topic", rng.IntN(10))
		var sub *client.Subscription
		if sub, err = c.Subscribe(ctx, topic, client.SubscribeOptions{}); err != nil {
			break
		}
		defer sub.Close()
		if _, err = srv.Topic(topic).Publish(ctx, "news", payload); err != nil {
			break
		}
		for _, err = range sub.Messages(ctx) {
			break
		}
	case 7:
		if _, err = c.Request(ctx, "login", payload); err == nil {
			sessions.Add(1)
		}
	case 8:
		err = c.CloseSession(ctx)
	case 9:
		for conn := range srv.Conns() {
			_ = conn.Signal(ctx, "signal", payload) // it may have ended
			break
		}
	}
	return err
}

// openFiles returns the number of file descriptors, zero where that is not known.
func openFiles() int {
	all, _ := os.ReadDir("/proc/self/fd")
	return len(all)
}
