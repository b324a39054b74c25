package client_test

import (
	"context"
	"errors"
	"math"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// While a request holds the client up that is to leave, signals go to the old server as long
// as it handles them. Then Signal says that they cannot.
func TestSignalsOfAClientThatLeaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n, d := newNetwork(t), new(diary)
		start := time.Now()
		hooks := server.Hooks{
			OnSignal: func(_ context.Context, s *server.Signal) { d.note("s: %s", s.Name) },
			OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
				time.Sleep(time.Minute)
				return protocol.Payload{}, nil
			},
		}
		srv := n.serve(server.Options{ResumeWindow: window, DrainSpread: 10 * time.Second, Hooks: hooks})
		c := n.client(client.Options{Timeout: 2 * time.Minute, Hooks: client.Hooks{OnGap: d.client().OnGap}})
		connect(t, c)
		begin(t.Context(), c, "slow", "x")
		synctest.Wait()
		srv.BeginShutdown()
		n.away()
		for _, at := range []struct {
			after time.Duration
			name  string
			err   error
		}{
			{0, "before it leaves", nil},
			{11 * time.Second, "while it leaves", nil},
			{13 * time.Second, "as long as it can", nil},
			{20 * time.Second, "too late", client.ErrDisconnected},
			{59 * time.Second, "too late", client.ErrDisconnected},
		} {
			time.Sleep(at.after - time.Since(start))
			if err := c.Signal(t.Context(), at.name, text("x")); !errors.Is(err, at.err) {
				t.Errorf("%s: %v", at.name, err)
			}
		}
		d.want(t, "s: before it leaves", "s: while it leaves", "s: as long as it can")
	})
}

// A client that has left its server is away as one is that has lost its socket: signals wait,
// and OnGap counts them if the connection does not go on.
func TestSignalsOfAClientThatHasLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n, d := newNetwork(t), new(diary)
		srv := n.serve(server.Options{ResumeWindow: window})
		c := n.client(client.Options{Hooks: d.client()})
		connect(t, c)
		synctest.Wait() // the server, too, has opened the connection
		n.away()
		srv.BeginShutdown()
		time.Sleep(30 * time.Second)
		if err := c.Signal(t.Context(), "s", text("x")); err != nil || c.Status() != client.Resuming {
			t.Errorf("Signal: %v, the client is %v", err, c.Status())
		}
		n.serve(server.Options{ResumeWindow: window})
		connect(t, c)
		d.want(t, "c: connected", "c: away", "c: disconnected", "c: gap 0 1", "c: connected")
	})
}

// drained opens a connection of 3.0 with a request in flight, and asks the client to move.
func drained(t *testing.T, window time.Duration, opts client.Options, d protocol.DrainBody) (*client.Client, *memory.Listener, *peer, protocol.ID, <-chan outcome) {
	t.Helper()
	ln := memory.Listen()
	c := dial(t, ln, opts)
	go c.Connect(t.Context())
	p, _ := acceptHello(t, ln)
	p.send(protocol.WelcomeBody{Window: window, From: 1}.Message())
	synctest.Wait()
	done := begin(t.Context(), c, "r", "x")
	id := p.receive().ID
	p.send(d.Message())
	return c, ln, p, id, done
}

// A client leaves before the server closes the socket, even if a request is in flight then,
// whose reply comes on the next one. If there is none for this connection it stays until the
// request is answered.
func TestLeavingInTime(t *testing.T) {
	drain := protocol.DrainBody{Spread: 4 * time.Second, Grace: 20 * time.Second}
	bubble(t, func(t *testing.T) {
		start := time.Now()
		_, ln, p, id, done := drained(t, window, client.Options{Logger: discard}, drain)
		var closed *transport.CloseError
		var err error
		for err == nil { // until then there are heartbeats
			_, err = p.conn.Read(nil)
		}
		if !errors.As(err, &closed) || closed.Status != transport.StatusServiceRestart {
			t.Errorf("the socket ends with %v", err)
		}
		took(t, "leaving", start, 18*time.Second, 18*time.Second)
		p, hello := acceptHello(t, ln)
		if hello.Resume == nil {
			t.Fatal("the client does not ask for its connection")
		}
		p.send(protocol.WelcomeBody{Outcome: protocol.OutcomeResumed, Window: window, Received: 1, From: 1}.Message())
		p.reply(id, "done")
		if out := <-done; out.err != nil || out.reply.Text() != "done" {
			t.Errorf("the outcome is %q, %v", out.reply.Text(), out.err)
		}
	})
	for name, test := range map[string]struct {
		window time.Duration
		opts   client.Options
		then   client.Status
	}{
		"not resumed":          {0, client.Options{Logger: discard}, client.Connecting},
		"does not autoconnect": {window, client.Options{Logger: discard, DisableAutoconnect: true}, client.Disconnected},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, _, p, id, done := drained(t, test.window, test.opts, drain)
				go func() {
					for {
						if _, err := p.conn.Read(nil); err != nil {
							return
						}
					}
				}()
				time.Sleep(30 * time.Second)
				p.reply(id, "done")
				if out := <-done; out.err != nil || out.reply.Text() != "done" {
					t.Errorf("the outcome is %q, %v", out.reply.Text(), out.err)
				}
				synctest.Wait()
				if s := c.Status(); s != test.then {
					t.Errorf("the client is %v", s)
				}
			})
		})
	}
}

// Clients of a server that drains come to the next one spread over the time that the server
// gives them. Nothing fails.
func TestDrainOfManyClients(t *testing.T) {
	const spread = 20 * time.Second
	clients := 1_000
	if os.Getenv("WEBWIRE_SOAK") != "" {
		clients = 10_000
	}
	bubble(t, func(t *testing.T) {
		opts := server.Options{Logger: discard, ResumeWindow: window, DrainSpread: spread, Hooks: server.Hooks{
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				time.Sleep(2 * time.Second)
				return r.Payload, nil
			},
		}}
		old, from := serve(t, opts)
		_, to := serve(t, opts)
		var mu sync.Mutex
		target, dials := from, []time.Time(nil)
		dialer := dialerFunc(func(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
			mu.Lock()
			dials = append(dials, time.Now())
			ln := target
			mu.Unlock()
			return ln.Dial(ctx, opts)
		})
		all := make([]*client.Client, clients)
		for i := range all {
			all[i] = dial(t, dialer, client.Options{Logger: discard, Hooks: client.Hooks{
				OnConnectError: func(_ context.Context, err error) { t.Errorf("client %d: %v", i, err) },
			}})
			connect(t, all[i])
		}
		synctest.Wait()
		mu.Lock()
		target, dials = to, nil
		mu.Unlock()
		start := time.Now()
		old.BeginShutdown()
		var requests sync.WaitGroup
		for i, c := range all {
			requests.Go(func() {
				for time.Sleep(time.Duration(i) * 5 * time.Second / time.Duration(clients)); time.Since(start) < spread+5*time.Second; time.Sleep(3 * time.Second) {
					if _, err := c.Request(t.Context(), "r", text("x")); err != nil {
						t.Errorf("client %d: %v", i, err)
					}
				}
			})
		}
		requests.Wait()
		if len(dials) != clients {
			t.Fatalf("%d clients make %d connections", clients, len(dials))
		}
		peak := 0
		for i, at := range dials {
			j, _ := slices.BinarySearchFunc(dials, at.Add(time.Second), time.Time.Compare)
			peak = max(peak, j-i)
		}
		mean := float64(clients) / spread.Seconds()
		if last := dials[clients-1].Sub(start); last > spread+3*time.Second || float64(peak) > mean+6*math.Sqrt(mean) {
			t.Errorf("%d clients come in a second, %.0f in the mean; the last comes after %v", peak, mean, last)
		}
		t.Logf("peak/mean %.2f, last %v", float64(peak)/mean, dials[clients-1].Sub(start))
	})
}
