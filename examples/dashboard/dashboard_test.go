package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport/websocket"
)

// start runs the dashboard, and returns the host and port at which it listens.
func start(t *testing.T) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	in, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, "127.0.0.1:0", out) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	line := make([]byte, 200)
	n, err := in.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(string(line[:n]))
}

// read reads the next points, and fails the test if one does not follow the one before.
func read(t *testing.T, s *client.Subscription, n int) (last point) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for m, err := range s.Messages(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		var p point
		if err := m.Payload.DecodeJSON(&p); err != nil {
			t.Fatal(err)
		}
		if p.T <= last.T || p.V < 0 {
			t.Fatalf("%+v after %+v", p, last)
		}
		if last = p; n == 1 {
			break
		}
		n--
	}
	return last
}

func TestDashboard(t *testing.T) {
	addr := start(t)
	c := client.New(&websocket.Dialer{URL: "ws://" + addr + "/ws"}, client.Options{})
	defer c.Close()
	all, err := client.Call[[]metric](t.Context(), c, "metrics", struct{}{})
	if err != nil || len(all) != 40 {
		t.Fatalf("%d metrics, %v", len(all), err)
	}
	var subscriptions []*client.Subscription
	for _, m := range all {
		s, err := c.Subscribe(t.Context(), m.Name, client.SubscribeOptions{Since: new(protocol.Position)})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		subscriptions = append(subscriptions, s)
	}
	for _, s := range subscriptions {
		read(t, s, 5)
	}

	// A page that was away goes on where it was.
	at := subscriptions[0].Position()
	missed := read(t, subscriptions[0], 3)
	again, err := c.Subscribe(t.Context(), all[0].Name, client.SubscribeOptions{Since: &at})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := read(t, again, 3); got != missed {
		t.Errorf("the third point is %+v, and was %+v", got, missed)
	}

	_, err = c.Subscribe(t.Context(), "web.secrets", client.SubscribeOptions{})
	if protocol.CodeOf(err) != "NO_SUCH_METRIC" {
		t.Errorf("another topic: %v", err)
	}
}

func TestPage(t *testing.T) {
	addr := start(t)
	for path, want := range map[string]string{"/": "<title>Dashboard", "/app.js": "./webwire/index.js", "/webwire/index.js": "Client", "/style.css": "prefers-color-scheme"} {
		resp, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: status %d, %v, does not contain %q", path, resp.StatusCode, err, want)
		}
		if !strings.Contains(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s has no policy", path)
		}
	}
}

// The series are plausible: they stay near their mean, and move.
func TestMetrics(t *testing.T) {
	now := time.UnixMilli(1_750_000_000_000)
	for _, m := range metrics() {
		values := map[float64]bool{}
		sum := 0.0
		const n = 6000
		for i := range n {
			v := m.next(now.Add(time.Duration(i) * interval))
			if v < 0 || m.most > 0 && v > m.most {
				t.Fatalf("%s is %v", m.Name, v)
			}
			values[v] = true
			sum += v
		}
		if mean := sum / n; mean < m.mean/2 || mean > m.mean*2 {
			t.Errorf("%s has the mean %.1f, want about %.1f", m.Name, mean, m.mean)
		}
		if len(values) < 50 {
			t.Errorf("%s has %d values", m.Name, len(values))
		}
	}
	if _, err := json.Marshal(metrics()); err != nil {
		t.Error(err)
	}
}
