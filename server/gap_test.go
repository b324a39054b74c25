package server_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// A client that is behind by more than the server keeps gets the replies that it lacks, then
// what is kept, and learns how much is lost. If its socket ends among the replies they come
// again, and the number is the same.
func TestGapAfterReplies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const replies, signals = 5, 3000
		goOn := make(chan struct{})
		srv := resuming(server.Hooks{OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
			<-goOn
			return r.Payload, nil
		}})
		p, w := first(t, srv)
		for i := range uint64(replies) {
			p.request(1+i, "", "x")
		}
		p.lose()
		close(goOn)
		synctest.Wait() // the replies are from before the signals
		for i := range signals {
			if n, err := server.Broadcast(srv.Conns(), strconv.Itoa(i), protocol.Text("x")); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		var from uint64
		var order []uint64
		for attempt := uint32(1); attempt <= 3; attempt++ {
			r := claim(w, attempt, 0)
			p, again, err := sayHello(t, context.Background(), srv, protocol.HelloBody{Resume: &r})
			if err != nil {
				t.Fatal(err)
			}
			if again.Outcome != protocol.OutcomeGap || again.Late != replies || again.Received != replies || from != 0 && again.From != from {
				t.Fatalf("welcome is %+v", again)
			}
			from = again.From
			read := int(attempt) * 2
			if attempt == 3 {
				read = replies
			}
			var ids []uint64
			for range read {
				ids = append(ids, p.next(protocol.Reply).ID.Uint64())
			}
			if n := min(len(ids), len(order)); !slices.Equal(ids[:n], order[:n]) {
				t.Errorf("replies to %d after %d", ids, order)
			}
			order = ids
			if attempt < 3 {
				p.lose()
				continue
			}
			lost := from - 1 - replies
			for i := lost; i < signals; i++ {
				if m := p.next(protocol.Signal); m.Name != strconv.Itoa(int(i)) {
					t.Fatalf("got signal %s, want %d", m.Name, i)
				}
			}
			p.ack(replies + signals)
			p.lose()
			r = claim(again, 4, replies+signals)
			if _, again := welcomed(t, context.Background(), srv, protocol.HelloBody{Resume: &r}, protocol.OutcomeResumed); again.Late != 0 || again.From != replies+signals+1 {
				t.Errorf("welcome is %+v", again)
			}
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A stream waits for its client, and goes on when that is back. If items are lost its
// handler ends, and the client learns it.
func TestStreamGoesOn(t *testing.T) {
	for _, lost := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			causes := make(chan error, 1)
			pause, again := make(chan struct{}), make(chan struct{})
			var mux server.Mux
			mux.Stream("tail", func(ctx context.Context, r *server.Request, send func(protocol.Payload) error) error {
				if err := send(protocol.Text("0")); err != nil {
					return err
				}
				close(pause)
				<-again
				for i := 1; i < 10; i++ {
					if err := send(protocol.Text(strconv.Itoa(i))); err != nil {
						causes <- context.Cause(ctx)
						return err
					}
				}
				causes <- nil
				return nil
			})
			srv := server.New(server.Options{Version: protocol.V3_0, Handler: &mux, Logger: discard})
			p, w := first(t, srv)
			id := protocol.NewID(1)
			p.send(protocol.Message{Kind: protocol.Request, ID: id, Head: protocol.Head(nil).AppendStream(), Name: "tail", Payload: protocol.Text("x")})
			<-pause
			p.lose() // the item may not have arrived
			close(again)
			for range 2000 {
				if lost {
					_, _ = server.Broadcast(srv.Conns(), "s", protocol.Text("x"))
				}
			}
			synctest.Wait()
			want := protocol.OutcomeResumed
			if lost {
				want = protocol.OutcomeGap
			}
			r := claim(w, 1, 0)
			p, _ = welcomed(t, context.Background(), srv, protocol.HelloBody{Resume: &r}, want)
			var got []string
			for over := false; !over; {
				switch m := p.receive(); m.Kind {
				case protocol.Item:
					got = append(got, m.Payload.Text())
				case protocol.Signal:
				default:
					over = true
					if f, err := m.Failure(); lost && (err != nil || f.Code != protocol.FailureStreamLost) || !lost && m.Kind != protocol.Reply {
						t.Errorf("the stream ends with %v, %+v, %v", m.Kind, f, err)
					}
				}
			}
			cause := <-causes
			if lost && (len(got) > 0 || !errors.Is(cause, link.ErrStreamLost)) || !lost && (fmt.Sprint(got) != "[0 1 2 3 4 5 6 7 8 9]" || cause != nil) {
				t.Errorf("lost: %t: got %v, the handler ended because %v", lost, got, cause)
			}
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A client that says goodbye does not come back; after any other status it may.
func TestGoodbye(t *testing.T) {
	for status, goesOn := range map[transport.Status]bool{
		transport.StatusNormalClosure: false, transport.StatusGoingAway: false,
		transport.StatusInternalError: true, 4100: true, 4500: true,
	} {
		bubble(t, func(t *testing.T) {
			srv := resuming(server.Hooks{})
			p, w := first(t, srv)
			if err := p.conn.Close(status, ""); err != nil {
				t.Error(err)
			}
			_ = p.wait()
			if goesOn {
				back(t, srv, claim(w, 1, 0))
			} else {
				refused(t, srv, claim(w, 1, 0), protocol.OutcomeExpired)
			}
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A connection that is being closed, because its credentials have expired or for another
// reason, is not there for a client that comes back.
func TestComingBackTooLate(t *testing.T) {
	for name, test := range map[string]struct {
		end    func(*server.Conn)
		reason error
	}{
		"expired": {func(c *server.Conn) { c.ExpiresAt(time.Now()) }, server.ErrCredentialsExpired},
		"closed":  {func(c *server.Conn) { c.Close(4500, "") }, server.ErrConnClosed},
		"aborted": {func(c *server.Conn) { c.Abort() }, server.ErrConnClosed},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				reasons := make(chan error, 2)
				goOn := make(chan struct{})
				srv := resuming(server.Hooks{
					OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
						<-goOn
						return protocol.Payload{}, nil
					},
					OnClientDisconnected: func(_ *server.Conn, reason error) { reasons <- reason },
				})
				old, w := first(t, srv)
				old.request(1, "", "x")
				synctest.Wait()
				test.end(only(t, srv))
				synctest.Wait()
				r := claim(w, 1, 0)
				p, fresh, err := sayHello(t, context.Background(), srv, protocol.HelloBody{Resume: &r})
				if fresh.Outcome.Resumed() && name != "closed" { // that may go on until the reply is there
					t.Errorf("welcome is %+v, %v", fresh, err)
				}
				p.listen()
				close(goOn)
				if reason := <-reasons; !errors.Is(reason, test.reason) {
					t.Errorf("the connection ended because %v", reason)
				}
				if err := srv.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The context of a socket that goes on with a connection ends the connection as long as
// that is its socket.
func TestContextOfTheNextSocket(t *testing.T) {
	for _, away := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			cause := errors.New("enough")
			reasons := make(chan error, 1)
			srv := resuming(server.Hooks{OnClientDisconnected: func(_ *server.Conn, reason error) { reasons <- reason }})
			p, w := first(t, srv)
			p.lose()
			ctx, cancel := context.WithCancelCause(context.Background())
			r := claim(w, 1, 0)
			p, w = welcomed(t, ctx, srv, protocol.HelloBody{Resume: &r}, protocol.OutcomeResumed)
			if away {
				p.lose()
			}
			cancel(cause)
			synctest.Wait()
			if away {
				back(t, srv, claim(w, 2, 0))
			} else if reason := <-reasons; reason != cause {
				t.Errorf("the connection ended because %v", reason)
			}
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
