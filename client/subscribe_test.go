package client_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// topical returns options of a server on whose topics anybody may subscribe.
func topical(features server.TopicOptions) server.Options {
	return server.Options{
		Topics: func(string) server.TopicOptions { return features },
		Hooks: server.Hooks{
			OnSubscribe: func(context.Context, *server.Conn, string) (any, error) { return nil, nil },
		},
	}
}

var logged = server.TopicOptions{History: true}

func subscribe(t *testing.T, c *client.Client, o client.SubscribeOptions) *client.Subscription {
	t.Helper()
	s, err := c.Subscribe(t.Context(), "news", o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// publish publishes numbers to the topic, each a name.
func publish(t *testing.T, srv *server.Server, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		if _, err := srv.Topic("news").Publish(t.Context(), strconv.Itoa(n), protocol.Payload{}); err != nil {
			t.Fatal(err)
		}
	}
}

// take returns the names of the next n messages, with gaps and other errors as the last.
func take(t *testing.T, s *client.Subscription, n int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got := ""
	for m, err := range s.Messages(ctx) {
		var gap *client.GapError
		switch {
		case errors.As(err, &gap):
			return got + fmt.Sprintf("gap %d ", gap.Lost)
		case err != nil:
			return got + err.Error()
		}
		if s.Position() != m.Position {
			t.Errorf("the position is %v in the loop for the message at %v", s.Position(), m.Position)
		}
		got += m.Name + " "
		if n--; n == 0 {
			break
		}
	}
	return got
}

func wantTaken(t *testing.T, s *client.Subscription, n int, want string) {
	t.Helper()
	if got := take(t, s, n); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// wantMembers fails the test unless the number of subscribed connections is as wanted.
func wantMembers(t *testing.T, srv *server.Server, want int) {
	t.Helper()
	synctest.Wait()
	got := 0
	for range srv.Topic("news").Conns() {
		got++
	}
	if got != want {
		t.Errorf("%d connections have subscribed, want %d", got, want)
	}
}

func TestSubscribe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		srv := n.serve(topical(logged))
		c := n.client(client.Options{})
		publish(t, srv, 1, 2)
		s := subscribe(t, c, client.SubscribeOptions{})
		if s.Topic() != "news" {
			t.Errorf("topic %q", s.Topic())
		}
		publish(t, srv, 3, 5)
		wantTaken(t, s, 2, "3 4 ")
		late := s.Position()
		wantTaken(t, s, 1, "5 ") // leaving the loop ends nothing
		again := subscribe(t, c, client.SubscribeOptions{Since: &late})
		wantTaken(t, again, 1, "5 ")
		all := subscribe(t, c, client.SubscribeOptions{Since: new(protocol.Position)})
		wantTaken(t, all, 5, "1 2 3 4 5 ")

		s.Close()
		wantTaken(t, s, 1, "")
		synctest.Wait()
		wantMembers(t, srv, 1)
		c.Close()
		wantTaken(t, again, 1, "client: closed")
		if _, err := c.Subscribe(t.Context(), "news", client.SubscribeOptions{}); !errors.Is(err, client.ErrClosed) {
			t.Errorf("Subscribe after Close: %v", err)
		}
	})
}

// A subscription outlives the loss of its connection, with its position.
func TestSubscriptionOutlivesConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		srv := n.serve(topical(logged)) // whose connections end with their sockets
		c := n.client(client.Options{})
		s := subscribe(t, c, client.SubscribeOptions{})
		publish(t, srv, 1, 2)
		synctest.Wait()
		for i := range 3 {
			n.near().Cut()
			synctest.Wait()
			publish(t, srv, 3*i+3, 3*i+5)
			connect(t, c)
		}
		publish(t, srv, 12, 12)
		wantTaken(t, s, 12, "1 2 3 4 5 6 7 8 9 10 11 12 ")
	})
}

// What the server has evicted meanwhile is told, and the subscription goes on.
func TestSubscriptionGap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		memory := engine.Memory{History: 2}
		opts := topical(logged)
		opts.Engine = memory.Node()
		srv := n.serve(opts)
		c := n.client(client.Options{})
		s := subscribe(t, c, client.SubscribeOptions{})
		gaps := 0
		with := subscribe(t, c, client.SubscribeOptions{OnGap: func(g *client.GapError) { gaps++ }})
		publish(t, srv, 1, 1)
		synctest.Wait()
		n.near().Cut()
		synctest.Wait()
		publish(t, srv, 2, 200) // more than the node keeps
		connect(t, c)
		wantTaken(t, s, 10, "1 gap 0 ")
		wantTaken(t, s, 2, "199 200 ")
		wantTaken(t, with, 3, "1 199 200 ")
		if gaps != 1 {
			t.Errorf("OnGap was called %d times", gaps)
		}
	})
}

// Without a history each lost connection is a gap.
func TestSubscriptionWithoutHistory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		srv := n.serve(topical(server.TopicOptions{}))
		c := n.client(client.Options{})
		s := subscribe(t, c, client.SubscribeOptions{})
		publish(t, srv, 1, 2)
		wantTaken(t, s, 2, "1 2 ")
		if p := s.Position(); p != (protocol.Position{}) {
			t.Errorf("position %v", p)
		}
		n.near().Cut()
		synctest.Wait()
		publish(t, srv, 3, 3)
		connect(t, c)
		synctest.Wait()
		publish(t, srv, 4, 4)
		wantTaken(t, s, 10, "gap 0 ")
		wantTaken(t, s, 1, "4 ")
	})
}

// A connection that resumes carries the subscription on; if it has lost messages the
// subscription begins anew after its last one.
func TestSubscriptionResumes(t *testing.T) {
	for _, missed := range []int{10, 1500} { // the outbox keeps 1024 messages
		t.Run(strconv.Itoa(missed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := newNetwork(t)
				memory := engine.Memory{History: 2000}
				opts := topical(logged)
				opts.Engine = memory.Node()
				opts.ResumeWindow = window
				srv := n.serve(opts)
				c := n.client(client.Options{})
				s := subscribe(t, c, client.SubscribeOptions{})
				publish(t, srv, 1, 1)
				synctest.Wait()
				n.near().Cut()
				synctest.Wait()
				publish(t, srv, 2, missed)
				connect(t, c)
				want := ""
				for i := range missed {
					want += strconv.Itoa(i+1) + " "
				}
				wantTaken(t, s, missed, want)
				if st := c.Stats(); st.Resumes != 1 {
					t.Errorf("%d resumes", st.Resumes)
				}
				publish(t, srv, 0, 0)
				wantTaken(t, s, 1, "0 ")
				synctest.Wait()
				wantMembers(t, srv, 1)
			})
		})
	}
}

// A subscription that is not read holds up nothing, and loses nothing.
func TestSlowSubscription(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		memory := engine.Memory{History: 2000}
		opts := topical(logged)
		opts.Engine = memory.Node()
		srv := n.serve(opts)
		c := n.client(client.Options{})
		slow := subscribe(t, c, client.SubscribeOptions{})
		want := ""
		for i := range 1000 {
			publish(t, srv, i, i)
			want += strconv.Itoa(i) + " "
			if i%100 == 0 {
				synctest.Wait()
				request(t, c)
			}
		}
		synctest.Wait()
		wantMembers(t, srv, 0)
		wantTaken(t, slow, 1000, want)
		wantMembers(t, srv, 1)
	})
}

func TestSubscribeRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		opts := topical(logged)
		allowed := true
		opts.Hooks.OnSubscribe = func(context.Context, *server.Conn, string) (any, error) {
			if allowed {
				return nil, nil
			}
			return nil, &protocol.Error{Code: "FORBIDDEN"}
		}
		srv := n.serve(opts)
		c := n.client(client.Options{})
		if _, err := c.Subscribe(t.Context(), "", client.SubscribeOptions{}); !errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("no name: %v", err)
		}
		s := subscribe(t, c, client.SubscribeOptions{})
		publish(t, srv, 1, 1)
		synctest.Wait()
		allowed = false
		_, err := c.Subscribe(t.Context(), "other", client.SubscribeOptions{})
		if code := protocol.CodeOf(err); code != "FORBIDDEN" || !client.MaybeExecuted(err) {
			t.Errorf("refused: %v", err)
		}
		// Refused on the next connection, the subscription ends.
		n.near().Cut()
		connect(t, c)
		wantTaken(t, s, 2, "1 FORBIDDEN")
	})
}

func TestSubscribeToOldServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, ln := serve(t, server.Options{Logger: discard})
		c := dial(t, ln, client.Options{Versions: []protocol.Version{protocol.V2_0}})
		_, err := c.Subscribe(t.Context(), "news", client.SubscribeOptions{})
		if !errors.Is(err, protocol.ErrUnsupported) || client.MaybeExecuted(err) {
			t.Errorf("Subscribe: %v", err)
		}
	})
}

// A Subscribe that is given up leaves nothing at the server.
func TestSubscribeGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		opts := topical(logged)
		release := make(chan struct{})
		opts.Hooks.OnSubscribe = func(context.Context, *server.Conn, string) (any, error) { <-release; return nil, nil }
		srv := n.serve(opts)
		c := n.client(client.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Subscribe(ctx, "news", client.SubscribeOptions{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Subscribe: %v", err)
		}
		close(release)
		time.Sleep(10 * time.Second) // in virtual time
		wantMembers(t, srv, 0)
		if topics := srv.Stats().Topics; topics != 0 {
			t.Errorf("the server has %d topics", topics)
		}
		subscribe(t, c, client.SubscribeOptions{})
	})
}

// Subscribing to what others have subscribed to shows them.
func TestPresence(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		opts := topical(server.TopicOptions{Presence: true})
		names := make(chan string, 10)
		opts.Hooks.OnSubscribe = func(context.Context, *server.Conn, string) (any, error) { return <-names, nil }
		n.serve(opts)
		c := n.client(client.Options{})
		ann := n.client(client.Options{})
		names <- "ann"
		subscribe(t, ann, client.SubscribeOptions{})
		here := make(map[string]string)
		names <- "me"
		s := subscribe(t, c, client.SubscribeOptions{
			Presence: func(e client.PresenceEvent) {
				if e.Op == protocol.PresenceLeave {
					delete(here, e.ID)
				} else {
					here[e.ID] = string(e.Info)
				}
			},
			OnGap: func(*client.GapError) {}, // there is no history
		})
		want := func(want ...string) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			for _, err := range s.Messages(ctx) {
				if err != ctx.Err() {
					t.Fatal(err)
				}
			}
			got := make(map[string]int)
			for _, name := range here {
				got[name]++
			}
			for _, name := range want {
				got[strconv.Quote(name)]--
			}
			for name, n := range got {
				if n != 0 {
					t.Errorf("%s: %+d of %v", name, n, here)
				}
			}
		}
		want("ann", "me")
		mine := n.near()
		bob := n.client(client.Options{})
		names <- "bob"
		subscribe(t, bob, client.SubscribeOptions{})
		want("ann", "bob", "me")
		ann.Close()
		want("bob", "me")
		mine.Cut() // the next connection finds who has gone meanwhile
		bob.Close()
		names <- "me again"
		want("me again")
	})
}

// A subscription that began with the whole history knows where it is.
func TestSubscribeToAllOutlivesConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		srv := n.serve(topical(logged))
		c := n.client(client.Options{})
		publish(t, srv, 1, 3)
		s := subscribe(t, c, client.SubscribeOptions{Since: new(protocol.Position)})
		wantTaken(t, s, 3, "1 2 3 ")
		n.near().Cut()
		synctest.Wait()
		publish(t, srv, 4, 5)
		connect(t, c)
		wantTaken(t, s, 2, "4 5 ")
	})
}

// A publication that is longer than the client takes is a gap, live or not.
func TestSubscriptionTooBig(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		srv := n.serve(topical(logged))
		c := n.client(client.Options{MaxMessageSize: 2000})
		big := func() {
			t.Helper()
			if _, err := srv.Topic("news").Publish(t.Context(), "big", protocol.Bytes(make([]byte, 3000))); err != nil {
				t.Fatal(err)
			}
		}
		publish(t, srv, 1, 1)
		big()
		publish(t, srv, 2, 2)
		s := subscribe(t, c, client.SubscribeOptions{Since: new(protocol.Position)})
		wantTaken(t, s, 9, "1 gap 1 ")
		wantTaken(t, s, 1, "2 ")
		big()
		publish(t, srv, 3, 3)
		wantTaken(t, s, 9, "gap 1 ")
		wantTaken(t, s, 1, "3 ")
	})
}

// Each message has the metadata that it was published with, at once and from the history,
// and nobody else has a part of it.
func TestSubscriptionMeta(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		srv := n.serve(topical(logged))
		c := n.client(client.Options{})
		live := subscribe(t, c, client.SubscribeOptions{})
		for _, tenant := range []string{"7", "8"} {
			ctx := server.WithMeta(t.Context(), protocol.Head{}.AppendMetadata("tenant", tenant))
			if _, err := srv.Topic("news").Publish(ctx, "m", protocol.Text("x")); err != nil {
				t.Fatal(err)
			}
		}
		publish(t, srv, 9, 9)
		for _, s := range []*client.Subscription{live, subscribe(t, c, client.SubscribeOptions{Since: new(protocol.Position)})} {
			var all []client.Message
			for m, err := range s.Messages(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if all = append(all, m); len(all) == 3 {
					break
				}
			}
			for i, want := range []string{"tenant=7 x", "tenant=8 x", ""} {
				got := ""
				for key, value := range all[i].Meta.Metadata() {
					got = fmt.Sprintf("%s=%s %s", key, value, all[i].Payload.Text())
				}
				if got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				clear(all[i].Meta) // they belong to the caller
				clear(all[i].Payload.Data)
			}
			if all[2].Meta != nil {
				t.Errorf("metadata %q of a publication without any", all[2].Meta)
			}
		}
	})
}

// Metadata takes room in the queue of a subscription, as the rest of a message does.
func TestSubscriptionMetaTakesRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		srv := n.serve(topical(logged))
		c := n.client(client.Options{InboxSize: 100_000})
		s := subscribe(t, c, client.SubscribeOptions{})
		ctx := server.WithMeta(t.Context(), protocol.Head{}.AppendMetadata("k", strings.Repeat("v", 8000)))
		for i := range 8 {
			if _, err := srv.Topic("news").Publish(ctx, strconv.Itoa(i), protocol.Payload{}); err != nil {
				t.Fatal(err)
			}
		}
		wantMembers(t, srv, 0) // it has unsubscribed until there is room
		wantTaken(t, s, 8, "0 1 2 3 4 5 6 7 ")
	})
}
