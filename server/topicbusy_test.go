package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// busy returns a server and a client of it that does not read yet, and is patient.
func busy(t *testing.T, opts server.Options) (*server.Server, *peer, *server.Conn) {
	t.Helper()
	var conn *server.Conn
	opts.ResumeWindow, opts.WriteTimeout, opts.ReadTimeout = -1, time.Hour, 24*time.Hour
	opts.Hooks.OnClientConnected = func(_ context.Context, c *server.Conn) error {
		if conn == nil {
			conn = c
		}
		return nil
	}
	srv := newTopical(t, opts)
	p := connectDeaf(t, context.Background(), srv, protocol.V3_0)
	synctest.Wait()
	return srv, p, conn
}

func overflowing(o server.Overflow, history bool) func(string) server.TopicOptions {
	return func(string) server.TopicOptions { return server.TopicOptions{Overflow: o, History: history} }
}

// readSlowly has a peer read a message per millisecond, until the connection ends.
func (p *peer) readSlowly(take func(protocol.Message)) (done <-chan struct{}) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			b, err := p.conn.Read(nil)
			if err != nil {
				return
			}
			if m, err := p.version.Parse(b); err == nil {
				take(m)
			}
			time.Sleep(time.Millisecond)
		}
	}()
	return ended
}

// fill keeps the outbox of a connection full until ctx ends.
func fill(ctx context.Context, c *server.Conn) {
	for c.Signal(ctx, "s", protocol.Text(strings.Repeat("x", 1000))) == nil {
	}
}

// A client that reads gets the latest publications, although other senders keep its outbox
// full.
func TestLatestBesideOthers(t *testing.T) {
	for _, streams := range []int{0, 1, 4} {
		bubble(t, func(t *testing.T) {
			var mux server.Mux
			mux.Stream("s", func(ctx context.Context, r *server.Request, send func(protocol.Payload) error) error {
				for {
					if err := send(protocol.Text(strings.Repeat("x", 1000))); err != nil {
						return err
					}
				}
			})
			srv, p, conn := busy(t, server.Options{Handler: &mux, Topics: overflowing(server.LatestPerKey, false)})
			p.subscribe(1, 1, "price", nil)
			synctest.Wait()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if streams == 0 {
				go fill(ctx, conn)
			}
			for i := range streams {
				p.send(protocol.Message{Kind: protocol.Request, ID: protocol.NewID(uint64(100 + i)), Name: "s", Head: protocol.Head{}.AppendStream()})
			}
			synctest.Wait()
			received, credited := map[protocol.ID]uint64{}, map[protocol.ID]uint64{}
			got, latest := 0, 0
			done := p.readSlowly(func(m protocol.Message) {
				switch m.Kind {
				case protocol.Publication:
					got++
					_, _ = fmt.Sscan(m.Payload.Text(), &latest)
				case protocol.Item:
					received[m.ID] += 1000 + 124 // as section 11.7 counts
					if received[m.ID]-credited[m.ID] >= 64<<10 {
						credited[m.ID] = received[m.ID]
						p.send(protocol.Message{Kind: protocol.Credit, ID: m.ID, Number: received[m.ID] + 128<<10})
					}
				}
			})
			for i := range 600 {
				publish(t, srv, "price", fmt.Sprint(i))
				time.Sleep(100 * time.Millisecond)
			}
			cancel()
			p.conn.Abort()
			<-done
			// The outbox holds what is read in about a second. How many messages of the others
			// come before a publication is up to the scheduler: seldom those of three seconds more.
			if got < 30 || latest < 540 {
				t.Errorf("%d streams: %d publications in a minute, the latest of 600 is %d", streams, got, latest)
			}
		})
	}
}

// A topic that drops publications does not disconnect, not even for a gap.
func TestGapWithoutRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		f := enginetest.NewFaulty(memory.Node())
		srv, p, conn := busy(t, server.Options{Engine: f.Engine(), Topics: overflowing(server.DropOldest, false)})
		p.subscribe(1, 1, "quiet", nil)
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go fill(ctx, conn)
		synctest.Wait()
		f.Cut()
		time.Sleep(time.Second)
		f.Heal()
		time.Sleep(3 * time.Second)
		cancel()
		p.listen()
		synctest.Wait()
		publish(t, srv, "quiet", "after")
		synctest.Wait()
		gaps := 0
		for {
			m := p.receive()
			if m.Kind == protocol.Gap {
				gaps++
			}
			if m.Kind == protocol.Publication {
				break
			}
		}
		if gaps != 1 {
			t.Errorf("%d gaps", gaps)
		}
	})
}

// What is read from the log after deliveries were lost is not lost for a client that reads.
func TestFillingDropsNothing(t *testing.T) {
	for _, o := range []server.Overflow{server.Disconnect, server.DropOldest, server.LatestPerKey} {
		bubble(t, func(t *testing.T) {
			memory := engine.Memory{History: 10000}
			f := enginetest.NewFaulty(memory.Node())
			other := newTopical(t, server.Options{Engine: memory.Node(), Topics: overflowing(o, true)})
			srv := newTopical(t, server.Options{Engine: f.Engine(), ResumeWindow: -1, Topics: overflowing(o, true)})
			p := connect(t, srv, protocol.V3_0)
			p.subscribed(1, 1, "room", nil)
			f.Cut()
			for i := range 200 {
				publish(t, other, "room", fmt.Sprintf("%01000d", i))
			}
			synctest.Wait() // all of them are lost
			f.Heal()
			for i := range 200 {
				if m := p.receive(); m.Kind != protocol.Publication {
					t.Fatalf("%v: a %v instead of publication %d", o, m.Kind, i)
				}
			}
		})
	}
}

// Presence does not wait until a busy connection has nothing else to send.
func TestPresenceBesideOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var memory engine.Memory
		srv, p, conn := busy(t, server.Options{Engine: memory.Node(), Topics: everything})
		p.send(protocol.SubscribeBody{ID: protocol.NewID(9), Ref: 9, Topic: "room", Presence: true}.Message())
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go fill(ctx, conn)
		synctest.Wait()
		began := time.Now()
		var last time.Duration
		entered := 0
		done := p.readSlowly(func(m protocol.Message) {
			if m.Kind != protocol.Presence {
				return
			}
			if body, _ := m.Presence(); body.Op == protocol.PresenceEnter {
				entered++
				last = time.Since(began)
			}
		})
		time.Sleep(5 * time.Second)
		crowd(t, srv, 60)
		time.Sleep(time.Minute)
		cancel()
		p.conn.Abort()
		<-done
		if entered != 60 || last > 10*time.Second { // of which five before anybody came
			t.Errorf("%d of 60, the last after %v", entered, last)
		}
	})
}

// Whoever leaves a topic and comes back while it is behind gets publications in order.
func TestRejoinBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p, conn := busy(t, server.Options{Topics: overflowing(server.DropOldest, false)})
		room := srv.Topic("room")
		published := 0
		publishMany := func(n int) {
			for range n {
				published++
				publish(t, srv, "room", fmt.Sprintf("%d %s", published, strings.Repeat("x", 400)))
			}
			synctest.Wait()
		}
		for _, n := range []int{5000, 30, 30, 30, 30} {
			if err := room.Join(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
			publishMany(n)
			room.Leave(conn)
		}
		p.listen()
		time.Sleep(time.Second)
		last := 0
		for len(p.got) > 0 {
			var n int
			if _, err := fmt.Sscan(p.receive().Payload.Text(), &n); err != nil || n <= last {
				t.Fatalf("%d after %d, %v", n, last, err)
			}
			last = n
		}
		if last == 0 {
			t.Error("nothing came")
		}
	})
}

// A publication that waits, and that the client cannot take, is counted as dropped.
func TestTooLongBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p, conn := busy(t, server.Options{MaxMessageSize: 2000, Topics: overflowing(server.LatestPerKey, false)})
		if err := srv.Topic("room").Join(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go fill(ctx, conn)
		synctest.Wait()
		publish(t, srv, "room", "waits")
		publish(t, srv, "room", strings.Repeat("x", 3000)) // instead of it
		synctest.Wait()
		if n := srv.Stats().DroppedPublications; n != 1 {
			t.Errorf("%d are dropped while nothing can be sent", n)
		}
		cancel()
		p.listen()
		time.Sleep(time.Minute)
		if n := srv.Stats().DroppedPublications; n != 2 {
			t.Errorf("%d are dropped", n)
		}
	})
}
