package main

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/webwiretest"
)

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
	synctest.Test(t, func(t *testing.T) {
		all := metrics()
		srv := newServer(all)
		ctx, stop := context.WithCancel(t.Context())
		var measuring sync.WaitGroup
		defer measuring.Wait()
		defer stop()
		measuring.Go(func() { measure(ctx, srv, all) })
		c := webwiretest.Serve(t, srv).Client(client.Options{})
		if got, err := client.Call[[]metric, any](t.Context(), c, "metrics", nil); err != nil || len(got) != 40 || got[0].Title != "Requests" {
			t.Fatalf("%+v, %v", got, err)
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
	})
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
			if v < 0 {
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
}
