package client_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
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

// stubborn is a Prober. Its first Dial or Probe takes an hour, whatever its context
// says, and then succeeds. Later ones dial ln.
type stubborn struct {
	ln    *memory.Listener
	probe bool // it is Probe that takes an hour

	mu            sync.Mutex
	dials, probes int
	running, most int            // calls at a time
	far           transport.Conn // the other end of the connection of the first Dial
}

// step counts a call until it returns, and makes it slow if it is the one to be.
func (d *stubborn) step(count *int, probe bool) (first bool, done func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	*count++
	d.running++
	d.most = max(d.most, d.running)
	first = *count == 1
	slow := first && probe == d.probe
	return first, func() {
		if slow {
			time.Sleep(time.Hour)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.running--
	}
}

func (d *stubborn) Dial(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
	first, done := d.step(&d.dials, false)
	defer done()
	if !first {
		return d.ln.Dial(ctx, opts)
	}
	near, far := memory.Pipe()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.far = far
	return near, nil
}

func (d *stubborn) Probe(context.Context, transport.DialOptions) ([]byte, error) {
	_, done := d.step(&d.probes, true)
	defer done()
	return []byte(`{"protocol-version":"1.2"}`), nil
}

// calls returns the number of calls so far, and how many ran at a time at most.
func (d *stubborn) calls() (dials, probes, most int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dials, d.probes, d.most
}

// end waits for the end of the first connection.
func (d *stubborn) end(t *testing.T) {
	t.Helper()
	d.mu.Lock()
	far := d.far
	d.mu.Unlock()
	wantLate(t, far)
}

// wantLate waits for the end of a connection, which the client got too late, given
// its other end.
func wantLate(t *testing.T, far transport.Conn) {
	t.Helper()
	const most = 2 * time.Hour
	far.(transport.SilenceAllower).AllowSilence() // the client has to end it
	limit := time.AfterFunc(most, func() {
		t.Error("the connection that came too late lives on")
		far.Abort()
	})
	defer limit.Stop()
	if b, err := far.Read(nil); err == nil {
		t.Errorf("the connection that came too late is used: %q", b)
	}
}

// soon is how late the client may be if it has to find out that a call of the
// dialer ignores its context.
const soon = 100 * time.Millisecond

// both runs a test for a Dial and for a Probe that ignores its context.
func both(t *testing.T, test func(t *testing.T, d *stubborn)) {
	for name, probe := range map[string]bool{"Dial": false, "Probe": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				_, ln := serve(t, server.Options{Hooks: server.Hooks{OnRequest: echo}})
				test(t, &stubborn{ln: ln, probe: probe})
			})
		})
	}
}

// Close does not wait for a dialer that ignores its context.
func TestCloseWithStubbornDialer(t *testing.T) {
	both(t, func(t *testing.T, d *stubborn) {
		c := dial(t, d, client.Options{DialTimeout: 2 * time.Hour, Timeout: 2 * time.Hour})
		waiting := begin(context.Background(), c, "echo", "x")
		synctest.Wait()
		start := time.Now()
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		took(t, "Close", start, 0, soon)
		if out := <-waiting; out.err != client.ErrClosed {
			t.Errorf("Request: %v", out.err)
		}
		d.end(t)
		if dials, probes, _ := d.calls(); dials+probes > 2 {
			t.Errorf("%d dials, %d probes", dials, probes)
		}
		time.Sleep(2 * time.Hour) // the call returns
	})
}

// Each attempt ends in time, those too that find a call of an earlier one.
func TestDialTimeoutWithStubbornDialer(t *testing.T) {
	both(t, func(t *testing.T, d *stubborn) {
		const timeout = 3 * time.Second
		c := dial(t, d, client.Options{DialTimeout: timeout, DisableAutoconnect: true})
		for attempt := range 3 {
			start := time.Now()
			says := "the dialer has not returned"
			if attempt > 0 {
				says = "an earlier call of the dialer"
			}
			if err := c.Connect(context.Background()); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), says) {
				t.Errorf("Connect: %v", err)
			}
			took(t, "Connect", start, timeout, timeout+soon)
			if s := c.Status(); s != client.Disconnected {
				t.Errorf("the client is %v", s)
			}
		}
		d.end(t)
		time.Sleep(time.Hour) // the call returns
		connect(t, c)
		request(t, c)
		if dials, _, most := d.calls(); dials != 2 || most != 1 {
			t.Errorf("%d dials, %d calls at a time", dials, most)
		}
	})
}

// A client that tries again and again makes no further call while there is one, and
// connects once it is over.
func TestStubbornDialsDoNotPileUp(t *testing.T) {
	both(t, func(t *testing.T, d *stubborn) {
		c := dial(t, d, client.Options{Timeout: 2 * time.Hour})
		waiting := begin(context.Background(), c, "echo", "x")
		time.Sleep(time.Hour - time.Second)
		if dials, probes, _ := d.calls(); dials != 1 || probes > 1 {
			t.Errorf("%d dials, %d probes", dials, probes)
		}
		if n := c.Stats().Attempts; n < 100 {
			t.Errorf("%d attempts", n)
		}
		if out := <-waiting; out.err != nil || out.took > time.Hour+20*time.Second {
			t.Errorf("Request: %v after %v", out.err, out.took)
		}
		d.end(t)
		if dials, _, most := d.calls(); dials != 2 || most != 1 {
			t.Errorf("%d dials, %d calls at a time", dials, most)
		}
	})
}

// A dialer that heeds its context needs a moment for it: its call does not outlive
// Close, and its error is not lost. A connection that comes in this moment is late.
func TestDialerThatHeedsItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const moment = 10 * time.Millisecond
		own := errors.New("no answer from 192.0.2.1")
		near, far := memory.Pipe()
		running, late := 0, false
		c := dial(t, dialerFunc(func(ctx context.Context, _ transport.DialOptions) (transport.Conn, error) {
			running++
			defer func() { running-- }()
			<-ctx.Done()
			time.Sleep(moment)
			if late {
				return near, nil
			}
			return nil, own
		}), client.Options{DialTimeout: time.Second, DisableAutoconnect: true})

		start := time.Now()
		if err := c.Connect(t.Context()); !errors.Is(err, own) {
			t.Errorf("Connect: %v", err)
		}
		took(t, "Connect", start, time.Second+moment, time.Second+moment)

		late = true
		if err := c.Connect(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Connect: %v", err)
		}
		wantLate(t, far)

		go c.Connect(t.Context())
		synctest.Wait()
		start = time.Now()
		c.Close()
		took(t, "Close", start, moment, moment)
		if running != 0 {
			t.Error("Dial runs after Close")
		}
	})
}

// A dialer that ends its goroutine, as a test does that fails, made no connection.
func TestDialerThatExits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, ln := serve(t, server.Options{Hooks: server.Hooks{OnRequest: echo}})
		exit := true
		c := dial(t, dialerFunc(func(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
			if exit {
				exit = false
				runtime.Goexit()
			}
			return ln.Dial(ctx, opts)
		}), client.Options{DisableAutoconnect: true})
		start := time.Now()
		if err := c.Connect(t.Context()); err == nil {
			t.Error("connected")
		}
		took(t, "Connect", start, 0, 0)
		connect(t, c)
		request(t, c)
	})
}

func TestServerThatNeverWelcomes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := dial(t, ln, client.Options{Logger: discard, DialTimeout: 5 * time.Second})
		done := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			defer cancel()
			_, err := c.Request(ctx, "echo", protocol.Text("x"))
			done <- err
		}()
		conn, err := ln.Accept(transport.AcceptOptions{Protocols: []string{protocol.V3_0.Token()}})
		if err != nil {
			t.Fatal(err)
		}
		p := &peer{t, conn, protocol.V3_0}
		p.send(protocol.Conf{Version: protocol.V3_0, StreamCredit: 1 << 16, Requests: 8}.Message())
		go func() { // it reads, and answers pings, and nothing else
			for {
				if _, err := conn.Read(nil); err != nil {
					return
				}
			}
		}()
		go func() {
			second := accept(t, ln, protocol.V3_0, protocol.Conf{})
			for {
				m := second.receive()
				if m.Kind == protocol.Request {
					second.reply(m.ID, "y")
					return
				}
			}
		}()
		time.Sleep(2 * time.Minute)
		if n := c.Stats().Attempts; n < 2 {
			t.Errorf("after two minutes with a DialTimeout of 5 s: %d attempt, status %v", n, c.Status())
			conn.Abort() // so that the test ends
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestServerThatNeverWelcomesAClientThatConnectsOnce(t *testing.T) {
	for name, closes := range map[string]bool{"waits": false, "closes": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ln := memory.Listen()
				c := dial(t, ln, client.Options{Logger: discard, DialTimeout: 5 * time.Second, DisableAutoconnect: true})
				began := time.Now()
				done := make(chan error, 1)
				go func() { done <- c.Connect(t.Context()) }()
				conn, err := ln.Accept(transport.AcceptOptions{Protocols: []string{protocol.V3_0.Token()}})
				if err != nil {
					t.Fatal(err)
				}
				p := &peer{t, conn, protocol.V3_0}
				p.send(protocol.Conf{Version: protocol.V3_0, StreamCredit: 1 << 16, Requests: 8}.Message())
				go func() {
					for {
						if _, err := conn.Read(nil); err != nil {
							return
						}
					}
				}()
				want := context.DeadlineExceeded
				if closes {
					time.Sleep(4 * time.Second)
					want = client.ErrClosed
					_ = c.Close()
				}
				if err := <-done; !errors.Is(err, want) {
					t.Errorf("Connect: %v, want %v", err, want)
				}
				if took := time.Since(began); took > 6*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
