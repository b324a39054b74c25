package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport/websocket"
)

// The nodes are processes of this test program.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == nodeCommand {
		main()
	}
	os.Exit(m.Run())
}

// output is what the cluster prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for !done() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			t.Fatal("never: ", what)
		}
	}
}

// listener is a client that follows a room.
type listener struct {
	mu  sync.Mutex
	got []string
	err error
}

func (l *listener) heard() ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got), l.err
}

func newClient(t *testing.T, addr string) *client.Client {
	t.Helper()
	url := fmt.Sprint("ws://", addr, "/ws")
	cl := client.New(websocket.Dialer{URL: url}, client.Options{MinBackoff: 20 * time.Millisecond, MaxBackoff: time.Second})
	t.Cleanup(func() { cl.Close() })
	return cl
}

func listen(t *testing.T, addr string) *listener {
	t.Helper()
	sub, err := newClient(t, addr).Subscribe(t.Context(), prefix+"lobby", client.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m, err := range sub.Messages(context.Background()) {
			var s said
			if err == nil {
				err = m.Payload.DecodeJSON(&s)
			}
			l.mu.Lock()
			l.got, l.err = append(l.got, s.Text), err
			l.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		sub.Close()
		<-done
	})
	return l
}

// speakers say things until they are stopped, and note what was confirmed.
type speakers struct {
	mu        sync.Mutex
	confirmed []string
	failed    int
}

func (s *speakers) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.confirmed)
}

func (s *speakers) speak(ctx context.Context, c *client.Client, name string) {
	for n := 0; ctx.Err() == nil; n++ {
		text := fmt.Sprint(name, " ", n)
		_, err := client.Call[string](ctx, c, "say", said{"lobby", name, text})
		s.mu.Lock()
		if err == nil {
			s.confirmed = append(s.confirmed, text)
		} else {
			s.failed++
		}
		s.mu.Unlock()
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// The rooms go on while nodes are killed, stopped and started under load: everybody hears
// everything that was confirmed, once, in the same order.
func TestRoomsGoOn(t *testing.T) {
	servers, listeners, each := 1, 4, 40
	if os.Getenv("WEBWIRE_SOAK") != "" {
		servers, listeners, each = 3, 50, 1000
	}
	out := &output{}
	c, err := startCluster("127.0.0.1:0", "", servers, 3, out)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if t.Failed() {
			t.Logf("the console:\n%s", out)
		}
		c.close()
	}()
	var all []*listener
	for range listeners {
		all = append(all, listen(t, c.balancer.addr().String()))
	}
	var s speakers
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var speaking sync.WaitGroup
	for i := range 3 {
		cl := newClient(t, c.balancer.addr().String())
		speaking.Go(func() { s.speak(ctx, cl, fmt.Sprint("speaker ", i)) })
	}
	goOn := func() {
		t.Helper()
		before := s.count()
		eventually(t, "that the rooms go on", func() bool { return s.count() >= before+each })
	}
	do := func(line string) {
		t.Helper()
		if err := c.command(line); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	goOn()
	do("kill 2")
	goOn()
	do("start 2")
	do("stop 1")
	goOn()
	do("start 1")
	do("kill 3")
	goOn()
	do("nodes")
	stop()
	speaking.Wait()
	for _, want := range []string{"node 2: ended", "node 3: not running", "node 1: running at "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the console does not say %q", want)
		}
	}

	var first []string
	for i, l := range all {
		eventually(t, "that everything is heard", func() bool {
			got, err := l.heard()
			if err != nil {
				t.Fatalf("listener %d: %v", i, err)
			}
			for _, text := range s.confirmed {
				if !slices.Contains(got, text) {
					return false
				}
			}
			return true
		})
		got, _ := l.heard()
		if first == nil {
			first = slices.Clone(got)
			if slices.Sort(got); len(slices.Compact(got)) != len(first) {
				t.Error("something was heard twice")
			}
		} else if n := min(len(first), len(got)); !slices.Equal(got[:n], first[:n]) {
			t.Errorf("listener %d heard another order", i)
		}
	}
	t.Logf("%d messages were confirmed, %d failed", len(s.confirmed), s.failed)
}

// The console, with NATS servers that run elsewhere.
func TestConsole(t *testing.T) {
	nats, err := startNATS(1)
	if err != nil {
		t.Fatal(err)
	}
	defer nats.close()
	out := &output{}
	console := strings.NewReader("start 1\nkill 7\nbogus\n\nnodes\nquit\n")
	if err := run(t.Context(), []string{"-addr", "127.0.0.1:0", "-nats", nats.urls(), "-nodes", "1"}, console, out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"cluster: http://127.0.0.1:",
		"node 1: it is running",
		"there is no node 7",
		`"bogus" is not kill N`,
		"0 connections, 0 rooms, 0 errors",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the console does not say %q:\n%s", want, out)
		}
	}
}

// The page and the client's modules are served by whichever node.
func TestPage(t *testing.T) {
	c, err := startCluster("127.0.0.1:0", "", 1, 1, &output{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, path := range []string{"/", "/app.js", "/style.css", "/webwire/index.js"} {
		resp, err := http.Get(fmt.Sprint("http://", c.balancer.addr(), path))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	cl := newClient(t, c.balancer.addr().String())
	if _, err := client.Call[string](t.Context(), cl, "say", said{Room: "lobby"}); protocol.CodeOf(err) != "NOT_SAID" {
		t.Errorf("nothing was said: %v", err)
	}
	if _, err := cl.Subscribe(t.Context(), "lobby", client.SubscribeOptions{}); protocol.CodeOf(err) != "NO_SUCH_ROOM" {
		t.Errorf("another topic: %v", err)
	}
}
