package client_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/server"
)

// Clients that are cut off together come back soon after the end of the outage, not all at
// once, and without knocking all the time.
func TestReturnTogether(t *testing.T) {
	const (
		clients = 500
		window  = time.Second // in which chance hardly counts
	)
	for _, c := range []struct {
		away     time.Duration
		attempts int           // most of a client
		last     time.Duration // when all are back
		median   time.Duration
	}{
		{0, 1, time.Second + 1, 600 * time.Millisecond},
		{time.Second, 3, 5 * time.Second, 3 * time.Second},
		{5 * time.Second, 4, 5 * time.Second, 3 * time.Second},
		{time.Minute, 19, 5 * time.Second, 3 * time.Second},
	} {
		t.Run(c.away.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := newNetwork(t)
				srv := n.serve(server.Options{ResumeWindow: 2 * time.Minute})
				all := make([]*client.Client, clients)
				for i := range all {
					all[i] = n.client(client.Options{})
					connect(t, all[i])
				}
				synctest.Wait()
				n.away()
				for _, conn := range n.faults.Conns() {
					conn.Cut()
				}
				time.Sleep(c.away)
				n.reachable(srv)
				back, before := time.Now(), len(n.dialled())
				time.Sleep(c.last)
				synctest.Wait()
				most := uint64(0)
				for _, one := range all {
					s := one.Stats()
					if s.Resumes != 1 {
						t.Fatalf("a client is %v after %v: %+v", one.Status(), c.last, s)
					}
					most = max(most, s.Attempts-1)
				}
				var times []time.Duration
				for _, at := range n.dialled()[before:] {
					times = append(times, at.Sub(back))
				}
				if len(times) != clients {
					t.Fatalf("%d attempts bring %d clients back", len(times), clients)
				}
				slices.Sort(times)
				mean := clients * window.Seconds() / times[clients-1].Seconds()
				peak := 0
				for i, from := range times {
					j, _ := slices.BinarySearch(times, from+window)
					peak = max(peak, j-i)
				}
				if float64(peak) > 2*mean {
					t.Errorf("%d clients come back in %v, %.0f in the mean", peak, window, mean)
				}
				if median := times[clients/2]; median > c.median {
					t.Errorf("the median is back after %v", median)
				}
				if most > uint64(c.attempts) {
					t.Errorf("a client made %d attempts", most)
				}
				t.Logf("peak/mean=%.2f last=%v median=%v attempts<=%d", float64(peak)/mean, times[clients-1], times[clients/2], most)
			})
		})
	}
}
