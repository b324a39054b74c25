package client_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

const window = 2 * time.Minute

// diary notes what happens, at each end in order: what it notes of the client comes first.
type diary struct {
	mu      sync.Mutex
	entries []string
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, fmt.Sprintf(format, args...))
}

func (d *diary) take() []string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.entries
	d.entries = nil
	slices.SortStableFunc(all, func(a, b string) int {
		return cmp.Compare(strings.Index("cs", a[:1]), strings.Index("cs", b[:1]))
	})
	return all
}

func (d *diary) want(t *testing.T, want ...string) {
	t.Helper()
	if got := d.take(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("what happened is\n%q, want\n%q", got, want)
	}
}

// hooks of both ends that write to the diary.
func (d *diary) client() client.Hooks {
	return client.Hooks{
		OnConnected:    func(context.Context) { d.note("c: connected") },
		OnDisconnected: func(context.Context, error) { d.note("c: disconnected") },
		OnAway:         func(context.Context, error) { d.note("c: away") },
		OnBack:         func(context.Context) { d.note("c: back") },
		OnGap:          func(_ context.Context, g client.Gap) { d.note("c: gap %d %d", g.Missed, g.Unacknowledged) },
		OnServerSignal: func(_ context.Context, s *client.Signal) { d.note("c: got %s", s.Name) },
	}
}

func (d *diary) server() server.Hooks {
	return server.Hooks{
		OnClientConnected:    func(context.Context, *server.Conn) error { d.note("s: connected"); return nil },
		OnClientDisconnected: func(_ *server.Conn, reason error) { d.note("s: disconnected: %v", reason) },
		OnClientAway:         func(*server.Conn, error) { d.note("s: away") },
		OnClientBack:         func(context.Context, *server.Conn) error { d.note("s: back"); return nil },
	}
}

// A request that is in flight when its socket is lost is executed once, and its reply
// arrives.
func TestRequestOutlivesItsSocket(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n, d := newNetwork(t), new(diary)
		var calls atomic.Int32
		hooks := d.server()
		hooks.OnRequest = func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			calls.Add(1)
			select {
			case <-time.After(5 * time.Second):
				return r.Payload, nil
			case <-ctx.Done():
				return protocol.Payload{}, context.Cause(ctx)
			}
		}
		n.serve(server.Options{ResumeWindow: window, Hooks: hooks})
		c := n.client(client.Options{Hooks: d.client()})
		connect(t, c)
		outcome := make(chan error, 1)
		go func() {
			reply, err := c.Request(t.Context(), "slow", text("x"))
			if err == nil && reply.Text() != "x" {
				err = errors.New("another reply")
			}
			outcome <- err
		}()
		synctest.Wait()
		d.want(t, "c: connected", "s: connected")
		n.near().Cut()
		synctest.Wait()
		if s := c.Status(); s != client.Resuming {
			t.Errorf("the client is %v", s)
		}
		start := time.Now()
		connect(t, c)
		took(t, "coming back", start, 0, time.Second+1)
		if err := <-outcome; err != nil {
			t.Error(err)
		}
		if calls.Load() != 1 {
			t.Errorf("%d calls", calls.Load())
		}
		d.want(t, "c: away", "c: back", "s: away", "s: back")
		if s := c.Stats(); s.Resumes != 1 || s.Connects != 1 {
			t.Errorf("stats: %+v", s)
		}
		c.Close()
		d.want(t, "c: disconnected", "s: disconnected: transport: connection closed by the peer (1000 normal closure)")
	})
}

// What is made while the socket is away waits, and is sent once.
func TestRequestMadeWhileAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n, d := newNetwork(t), new(diary)
		hooks := d.server()
		hooks.OnRequest = func(_ context.Context, r *server.Request) (protocol.Payload, error) {
			d.note("s: request %s", r.Payload.Text())
			return r.Payload, nil
		}
		hooks.OnSignal = func(_ context.Context, s *server.Signal) { d.note("s: signal %s", s.Name) }
		srv := n.serve(server.Options{ResumeWindow: window, Hooks: hooks})
		c := n.client(client.Options{Hooks: d.client()})
		connect(t, c)
		d.take()
		n.near().Cut()
		synctest.Wait()
		for conn := range srv.Conns() {
			if err := conn.Signal(t.Context(), "missed", text("x")); err != nil {
				t.Error(err)
			}
		}
		if err := c.Signal(t.Context(), "a", text("x")); err != nil {
			t.Error(err)
		}
		request(t, c)
		if err := c.Signal(t.Context(), "b", text("x")); err != nil {
			t.Error(err)
		}
		d.want(t, "c: away", "c: back", "c: got missed", "s: away", "s: back", "s: signal a", "s: request hello", "s: signal b")
	})
}

// However often the socket is lost, each signal arrives once and in order, and each request
// is executed once.
func TestManyCuts(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { bubble(t, func(t *testing.T) { manyCuts(t, seed) }) })
	}
}

func manyCuts(t *testing.T, seed uint64) {
	const messages = 1000
	rng := rand.New(rand.NewPCG(seed, 1))
	n := newNetwork(t)
	up, down := 0, 0
	executed := make(map[string]int)
	var mu sync.Mutex
	srv := n.serve(server.Options{ResumeWindow: window, Hooks: server.Hooks{
		OnSignal: func(_ context.Context, s *server.Signal) {
			if s.Name != strconv.Itoa(up) {
				t.Errorf("signal %s arrives after %d", s.Name, up-1)
			}
			up++
		},
		OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
			mu.Lock()
			defer mu.Unlock()
			executed[r.Payload.Text()]++
			return r.Payload, nil
		},
	}})
	c := n.client(client.Options{MinBackoff: time.Millisecond, Hooks: client.Hooks{
		OnDisconnected: func(_ context.Context, err error) {
			if !errors.Is(err, client.ErrClosed) {
				t.Errorf("disconnected: %v", err)
			}
		},
		OnGap: func(_ context.Context, g client.Gap) { t.Errorf("gap: %+v", g) },
		OnServerSignal: func(_ context.Context, s *client.Signal) {
			if s.Name != strconv.Itoa(down) {
				t.Errorf("signal %s arrives after %d", s.Name, down-1)
			}
			down++
		},
	}})
	connect(t, c)
	synctest.Wait() // for the welcome
	done := make(chan struct{})
	var working sync.WaitGroup
	working.Go(func() {
		for i := range messages {
			if err := c.Signal(t.Context(), strconv.Itoa(i), text("x")); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Millisecond)
		}
	})
	working.Go(func() {
		for i := range messages {
			for conn := range srv.Conns() {
				if err := conn.Signal(t.Context(), strconv.Itoa(i), text("x")); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Millisecond)
		}
	})
	for worker := range 8 {
		working.Go(func() {
			for i := range messages / 8 {
				id := fmt.Sprintf("%d %d", worker, i)
				reply, err := c.Request(t.Context(), "", text(id))
				if err != nil || reply.Text() != id {
					t.Errorf("request %s: %q, %v", id, reply.Text(), err)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	go func() {
		working.Wait()
		close(done)
	}()
	for cutting := true; cutting; {
		time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond / 4)
		select {
		case <-done:
			cutting = false
		default:
			if conns := n.faults.Conns(); len(conns) > 0 {
				conns[rng.IntN(len(conns))].Cut()
			}
		}
	}
	time.Sleep(5 * time.Second)
	synctest.Wait()
	if up != messages || down != messages {
		t.Errorf("%d of %d signals of the client arrived, %d of the server", up, messages, down)
	}
	mu.Lock()
	defer mu.Unlock()
	for id, times := range executed {
		if times != 1 {
			t.Errorf("request %s is executed %d times", id, times)
		}
	}
	if len(executed) != messages {
		t.Errorf("%d requests are executed", len(executed))
	}
	if s := c.Stats(); s.Resumes < 10 {
		t.Errorf("only %d resumes", s.Resumes)
	}
}

// A server keeps what it can for a client that is away, and says how much it could not.
func TestGap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n, d := newNetwork(t), new(diary)
		hooks := d.server()
		hooks.OnRequest = func(context.Context, *server.Request) (protocol.Payload, error) {
			time.Sleep(time.Second) // answered before the signals that are dropped
			return text("late"), nil
		}
		srv := n.serve(server.Options{ResumeWindow: window, Hooks: hooks})
		var got atomic.Int64
		c := n.client(client.Options{Hooks: client.Hooks{
			OnGap:          func(_ context.Context, g client.Gap) { d.note("c: gap %d %d", g.Missed, g.Unacknowledged) },
			OnServerSignal: func(context.Context, *client.Signal) { got.Add(1) },
		}})
		connect(t, c)
		reply := make(chan string, 1)
		go func() {
			p, err := c.Request(t.Context(), "r", text("x"))
			reply <- fmt.Sprint(p.Text(), err)
		}()
		synctest.Wait()
		n.away()
		n.near().Cut()
		time.Sleep(10 * time.Second)
		const sent = 5000
		for range sent {
			if _, err := server.Broadcast(srv.Conns(), "s", text("x")); err != nil {
				t.Fatal(err)
			}
		}
		d.take()
		n.reachable(srv)
		connect(t, c)
		if r := <-reply; r != "late<nil>" {
			t.Errorf("the reply is %s", r)
		}
		synctest.Wait()
		if lost := sent - got.Load(); lost < 1000 || lost > 4500 {
			t.Errorf("%d signals are lost", lost)
		} else {
			d.want(t, fmt.Sprintf("c: gap %d 0", lost), "s: back")
		}
	})
}

// When the window is over the connection is, at both ends.
func TestWindowIsOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n, d := newNetwork(t), new(diary)
		hooks := d.server()
		hooks.OnRequest = func(ctx context.Context, _ *server.Request) (protocol.Payload, error) {
			<-ctx.Done()
			d.note("s: handler: %v", context.Cause(ctx))
			return protocol.Payload{}, ctx.Err()
		}
		n.serve(server.Options{ResumeWindow: 30 * time.Second, Hooks: hooks})
		c := n.client(client.Options{Hooks: d.client()})
		connect(t, c)
		d.take()
		outcome := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			_, err := c.Request(ctx, "r", text("x"))
			outcome <- err
		}()
		synctest.Wait()
		n.away()
		n.near().Cut()
		start := time.Now()
		var lost *client.DisconnectedError
		if err := <-outcome; !errors.As(err, &lost) || !lost.Sent {
			t.Errorf("the outcome is %v", err)
		}
		took(t, "the outcome", start, 30*time.Second, 31*time.Second)
		time.Sleep(time.Second)
		d.want(t, "c: away", "c: disconnected", "c: gap 0 0", "s: away", "s: handler: server: the client did not come back", "s: disconnected: server: the client did not come back")
		if s := c.Status(); s != client.Connecting {
			t.Errorf("the client is %v", s)
		}
	})
}

// When the server was replaced, a request that was sent ends at once, and one that was not
// is sent to the new server.
func TestAnotherServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n, d := newNetwork(t), new(diary)
		srv := n.serve(server.Options{ResumeWindow: window, Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, _ *server.Request) (protocol.Payload, error) {
				<-ctx.Done()
				return protocol.Payload{}, ctx.Err()
			},
		}})
		c := n.client(client.Options{Hooks: d.client()})
		connect(t, c)
		d.take()
		sent := make(chan error, 1)
		go func() {
			_, err := c.Request(t.Context(), "r", text("x"))
			sent <- err
		}()
		synctest.Wait()
		n.away()
		n.near().Cut()
		srv.Close()
		synctest.Wait()
		if err := c.Signal(t.Context(), "s", text("x")); err != nil {
			t.Error(err)
		}
		waiting := make(chan error, 1)
		go func() {
			_, err := c.Request(t.Context(), "r", text("x"))
			waiting <- err
		}()
		n.serve(server.Options{ResumeWindow: window})
		var lost *client.DisconnectedError
		if err := <-sent; !errors.As(err, &lost) || !lost.Sent {
			t.Errorf("the outcome is %v", err)
		}
		if err := <-waiting; err != nil {
			t.Errorf("the request that waited: %v", err)
		}
		d.want(t, "c: away", "c: disconnected", "c: gap 0 1", "c: connected")
	})
}

// A stream goes on where it was, and says so if it cannot.
func TestStreamOutlivesItsSocket(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		mux := new(server.Mux)
		mux.Stream("count", func(_ context.Context, _ *server.Request, send func(protocol.Payload) error) error {
			for i := range 3000 {
				if err := send(text(strconv.Itoa(i))); err != nil {
					return err
				}
			}
			return nil
		})
		n.serve(server.Options{ResumeWindow: window, Hooks: server.Hooks{OnRequest: mux.HandleRequest}})
		c := n.client(client.Options{MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond})
		connect(t, c)
		next := 0
		for p, err := range c.Stream(t.Context(), "count", text("x")) {
			if err != nil {
				t.Fatal(err)
			}
			if p.Text() != strconv.Itoa(next) {
				t.Fatalf("item %s follows %d", p.Text(), next-1)
			}
			if next++; next%500 == 0 {
				n.near().Cut()
				time.Sleep(time.Second)
			}
		}
		if next != 3000 {
			t.Errorf("%d items", next)
		}
		if s := c.Stats(); s.Resumes != 6 {
			t.Errorf("stats: %+v", s)
		}
	})
}

// A requester that gives up while the socket is away stops the handler once it is back, and
// deadlines go on meanwhile.
func TestCancelWhileAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n, d := newNetwork(t), new(diary)
		n.serve(server.Options{ResumeWindow: window, Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, _ *server.Request) (protocol.Payload, error) {
				<-ctx.Done()
				d.note("s: %v", context.Cause(ctx))
				return protocol.Payload{}, ctx.Err()
			},
		}})
		c := n.client(client.Options{})
		connect(t, c)
		ctx, cancel := context.WithCancel(t.Context())
		go c.Request(ctx, "r", text("x"))
		synctest.Wait()
		n.near().Cut()
		synctest.Wait()
		cancel()
		synctest.Wait()
		connect(t, c)
		d.want(t, "s: webwire: the requester gave up")

		start := time.Now()
		ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		outcome := make(chan error, 1)
		go func() {
			_, err := c.Request(ctx, "r", text("x"))
			outcome <- err
		}()
		synctest.Wait()
		n.away() // so that no cancel arrives
		n.near().Cut()
		if err := <-outcome; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the outcome is %v", err)
		}
		took(t, "the deadline", start, 10*time.Second, 10*time.Second)
		d.want(t, "s: webwire: the deadline of the request has passed")
	})
}

// Credentials are checked again when a client comes back.
func TestCredentialsOfAResume(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n, d := newNetwork(t), new(diary)
		var token atomic.Value
		token.Store("good")
		n.serve(server.Options{ResumeWindow: window, Hooks: server.Hooks{
			OnClientConnected: func(_ context.Context, c *server.Conn) error {
				d.note("s: connected with %s", c.Credentials())
				c.ExpiresAt(time.Now().Add(time.Minute))
				return nil
			},
			OnClientAway: func(_ *server.Conn, reason error) { d.note("s: away: %v", reason) },
			OnClientBack: func(_ context.Context, c *server.Conn) error {
				d.note("s: back with %s", c.Credentials())
				if string(c.Credentials()) == "bad" {
					return &transport.CloseError{Status: 4400, Reason: "bad token"}
				}
				c.ExpiresAt(time.Now().Add(time.Minute))
				return nil
			},
			OnRequest: echo,
		}})
		c := n.client(client.Options{Credentials: func(context.Context) ([]byte, error) { return []byte(token.Load().(string)), nil }})
		connect(t, c)
		time.Sleep(90 * time.Second)
		request(t, c)
		d.want(t, "s: connected with good", "s: away: server: credentials expired", "s: back with good")
		token.Store("bad")
		n.near().Cut()
		time.Sleep(2 * time.Second)
		token.Store("good")
		time.Sleep(20 * time.Second)
		request(t, c)
		entries := d.take()
		if len(entries) < 3 || entries[1] != "s: back with bad" || entries[len(entries)-1] != "s: back with good" {
			t.Errorf("what happened is %q", entries)
		}
	})
}

// A request is not written before the server has welcomed the connection, which could not
// outlive its socket until then.
func TestRequestWaitsForWelcome(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := closeAtEnd(t, client.New(ln, client.Options{Logger: discard}))
		done := begin(t.Context(), c, "echo", "x")
		conn, err := ln.Accept(transport.AcceptOptions{Protocols: []string{protocol.V3_0.Token()}})
		if err != nil {
			t.Fatal(err)
		}
		first := &peer{t, conn, protocol.V3_0}
		first.send(protocol.Conf{Version: protocol.V3_0, StreamCredit: 1 << 16, Requests: 8}.Message())
		if m := first.receive(); m.Kind != protocol.Hello {
			t.Errorf("the first message is %v", m.Kind)
		}
		early := make(chan protocol.Message, 1)
		go func() {
			if b, err := conn.Read(nil); err == nil {
				m, _ := protocol.V3_0.Parse(b)
				early <- m
			}
		}()
		synctest.Wait()
		if len(early) > 0 {
			t.Fatalf("%v was written before welcome", (<-early).Kind)
		}
		_ = conn.Abort()
		second := accept(t, ln, protocol.V3_0, protocol.Conf{})
		for m := second.receive(); ; m = second.receive() {
			if m.Kind == protocol.Request {
				second.reply(m.ID, "y")
				break
			}
		}
		if o := <-done; o.err != nil || o.reply.Text() != "y" {
			t.Errorf("Request: %q, %v", o.reply.Text(), o.err)
		}
	})
}

// Going on with a connection takes one round trip once there is a socket, and what was kept
// for the client comes with the answer.
func TestResumeTakesOneRoundTrip(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const roundTrip = 80 * time.Millisecond // all of it on the way to the client
		n := newNetwork(t)
		n.serve(server.Options{ResumeWindow: window})
		var dialled, back time.Time
		far := dialerFunc(func(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
			conn, err := n.far(roundTrip).Dial(ctx, opts)
			dialled = time.Now()
			return conn, err
		})
		c := closeAtEnd(t, client.New(far, client.Options{
			Logger: discard,
			Hooks:  client.Hooks{OnBack: func(context.Context) { back = time.Now() }},
		}))
		connect(t, c)
		if d := time.Since(dialled); d != roundTrip {
			t.Errorf("connecting took %v after dialling", d)
		}
		done := begin(t.Context(), c, "echo", "x")
		time.Sleep(roundTrip / 2)
		n.dialling().Cut() // the reply is on the way
		o := <-done
		if o.err != nil || o.reply.Text() != "x" {
			t.Errorf("Request: %q, %v", o.reply.Text(), o.err)
		}
		if d := time.Since(dialled); d != roundTrip {
			t.Errorf("the reply took %v after dialling", d)
		}
		synctest.Wait()
		if d := back.Sub(dialled); d != roundTrip {
			t.Errorf("going on took %v after dialling", d)
		}
	})
}

// A server does not wait for a client that is closed before its connection is open for use,
// while both ends agree on how to speak or while the session is restored.
func TestCloseWhileOpening(t *testing.T) {
	for _, delay := range []time.Duration{0, time.Second} { // on the way to the client
		bubble(t, func(t *testing.T) {
			n, d := newNetwork(t), new(diary)
			srv := n.serve(server.Options{ResumeWindow: window, Hooks: d.server(), Sessions: slowStore{&session.MemoryStore{}}})
			c := closeAtEnd(t, client.New(n.far(delay), client.Options{Hooks: d.client(), Keys: &keptKey{key: "slow"}}))
			connected := make(chan error, 1)
			go func() { connected <- c.Connect(context.Background()) }()
			d.want(t, "s: connected")
			c.Close()
			if err := <-connected; !errors.Is(err, client.ErrClosed) {
				t.Errorf("Connect: %v", err)
			}
			d.want(t, "s: disconnected: transport: connection closed by the peer (1000 normal closure)")
			if n := srv.Stats().Open; n != 0 {
				t.Errorf("delay %v: %d connections are left", delay, n)
			}
		})
	}
}

// A server that a closed client cannot tell waits for the rest of the window.
func TestCloseWhileAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n, d := newNetwork(t), new(diary)
		n.serve(server.Options{ResumeWindow: window, Hooks: d.server()})
		c := n.client(client.Options{Hooks: d.client()})
		connect(t, c)
		n.away()
		n.near().Cut()
		d.want(t, "c: connected", "c: away", "s: connected", "s: away")
		c.Close()
		d.want(t, "c: disconnected")
		time.Sleep(window - time.Second)
		d.want(t)
		time.Sleep(time.Second)
		d.want(t, "s: disconnected: server: the client did not come back")
	})
}
