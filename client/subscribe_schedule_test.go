package client_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// Whatever happens to its connection, a subscriber sees the topic's order without holes
// and doubles, and a gap exactly where publications are gone.
func TestSubscriptionSchedules(t *testing.T) {
	n := *schedules
	switch {
	case testing.Short():
		n /= 10
	case os.Getenv("WEBWIRE_SOAK") != "":
		n = max(n, 10_000)
	}
	for seed := range n {
		seed += *firstSchedule
		if t.Failed() {
			return
		}
		bubble(t, func(t *testing.T) {
			s := newSchedule(t, uint64(seed))
			for range 5 + s.rand.IntN(25) {
				s.step()
			}
			s.finish()
			if t.Failed() {
				t.Errorf("seed %d: %v", seed, s.did)
			}
		})
	}
}

// schedule is a server that publishes numbers, and a subscriber.
type schedule struct {
	t       *testing.T
	rand    *rand.Rand
	network *network
	server  *server.Server
	history int
	did     []string

	client    *client.Client
	sub       *client.Subscription
	published int
	seen      int  // the last number
	gap       bool // was told after it
}

func newSchedule(t *testing.T, seed uint64) *schedule {
	s := &schedule{t: t, rand: rand.New(rand.NewPCG(seed, 1)), network: newNetwork(t)}
	s.history = []int{1, 3, 20, 150, 2000}[s.rand.IntN(5)]
	memory := engine.Memory{History: s.history}
	opts := topical(server.TopicOptions{History: true, Overflow: server.Overflow(s.rand.IntN(2))})
	opts.Engine = memory.Node()
	if s.rand.IntN(2) == 0 {
		opts.ResumeWindow = 10 * time.Second
	}
	if s.rand.IntN(4) == 0 {
		opts.OutboxSize = 2000
	}
	s.server = s.network.serve(opts)
	s.subscribe(nil)
	return s
}

func (s *schedule) subscribe(since *protocol.Position) {
	s.client = s.network.client(client.Options{InboxSize: 1 << (12 + s.rand.IntN(8)), MaxBackoff: 2 * time.Second})
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	var err error
	if s.sub, err = s.client.Subscribe(ctx, "news", client.SubscribeOptions{Since: since}); err != nil {
		s.t.Fatalf("Subscribe: %v, after %v", err, s.did)
	}
}

func (s *schedule) step() {
	note := func(format string, args ...any) { s.did = append(s.did, fmt.Sprintf(format, args...)) }
	switch s.rand.IntN(9) {
	case 0, 1:
		s.publish(1 + s.rand.IntN(3))
		note("publish to %d", s.published)
	case 2:
		s.publish(1 << s.rand.IntN(9))
		note("publish to %d", s.published)
	case 3:
		for _, conn := range s.network.faults.Conns() {
			conn.Cut()
		}
		note("cut")
	case 4:
		pause := time.Duration(s.rand.ExpFloat64() * float64(3*time.Second))
		time.Sleep(pause) // in virtual time
		note("pause %v", pause)
	case 5:
		synctest.Wait()
		note("wait")
	case 6:
		s.take(1 + s.rand.IntN(5))
		note("take to %d", s.seen)
	case 7:
		s.take(1 << s.rand.IntN(9))
		note("take to %d", s.seen)
	case 8:
		if s.rand.IntN(3) == 0 {
			at := s.sub.Position()
			note("restart at %d, taken %d", at.Offset, s.seen)
			s.client.Close()
			s.subscribe(&at)
		}
	}
}

func (s *schedule) publish(n int) {
	for range n {
		s.published++
		if _, err := s.server.Topic("news").Publish(s.t.Context(), strconv.Itoa(s.published), protocol.Payload{}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// take takes at most n messages, as far as they have arrived.
func (s *schedule) take(n int) {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Millisecond)
	defer cancel()
	for n > 0 {
		for m, err := range s.sub.Messages(ctx) {
			var gap *client.GapError
			switch {
			case errors.As(err, &gap):
				s.gap = true // there may be several, of connections that were lost at once
			case err != nil:
				if !errors.Is(err, context.DeadlineExceeded) {
					s.t.Error(err)
				}
				return
			default:
				s.saw(m.Name)
				n--
			}
			if n == 0 {
				return
			}
		}
	}
}

func (s *schedule) saw(name string) {
	number, err := strconv.Atoi(name)
	switch {
	case err != nil:
		s.t.Error(err)
	case number <= s.seen:
		s.t.Errorf("%d comes after %d", number, s.seen)
	case number > s.seen+1 && !s.gap:
		s.t.Errorf("%d comes after %d, and no gap was told", number, s.seen)
	case number == s.seen+1 && s.gap:
		s.t.Errorf("a gap was told between %d and %d", s.seen, number)
	}
	s.seen, s.gap = number, false
}

// finish takes all that is left.
func (s *schedule) finish() {
	s.publish(1)
	for range 100 {
		if s.take(1 << 20); s.seen == s.published || s.t.Failed() {
			break
		}
		time.Sleep(time.Second) // in virtual time
	}
	if s.seen != s.published {
		s.t.Errorf("%d is the last of %d", s.seen, s.published)
	}
}

var (
	schedules     = flag.Int("schedules", 300, "number of random schedules of a subscription; 10000 with WEBWIRE_SOAK=1")
	firstSchedule = flag.Int("schedules.first", 0, "the first of them")
)
