package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

func TestRequest(t *testing.T) {
	for _, v := range protocol.Versions() {
		t.Run(v.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				names := make(chan string, 1)
				_, ln := serve(t, server.Options{Version: v, Hooks: server.Hooks{
					OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
						names <- r.Name
						return r.Payload, nil
					},
				}})
				c := dial(t, ln, client.Options{Versions: []protocol.Version{v}})
				for _, p := range []protocol.Payload{
					protocol.Bytes([]byte{0}),
					protocol.Bytes(bytes.Repeat([]byte{0, 255}, 100_000)),
					protocol.Text("Привет, мир 👋"),
					protocol.UTF16Text("Привет, мир 👋"),
					protocol.UTF16Text("x"),
				} {
					for _, name := range []string{"", "e", "ee", strings.Repeat("n", 255)} {
						reply, err := c.Request(t.Context(), name, p)
						if got := <-names; got != name {
							t.Errorf("the server got the name %q, want %q", got, name)
						}
						if err != nil || reply.Encoding != p.Encoding || !bytes.Equal(reply.Data, p.Data) {
							t.Errorf("%q, %s: got %s of %d bytes, %v", name, p.Encoding, reply.Encoding, len(reply.Data), err)
						}
					}
				}
				for _, bad := range []struct {
					name    string
					payload protocol.Payload
				}{
					{strings.Repeat("n", 256), protocol.Text("x")},
					{"имя", protocol.Text("x")},
					{"odd", protocol.Payload{Encoding: protocol.UTF16, Data: []byte("x")}},
					{"", protocol.Payload{}},
				} {
					if _, err := c.Request(t.Context(), bad.name, bad.payload); !errors.Is(err, protocol.ErrMalformed) {
						t.Errorf("%q: got %v", bad.name, err)
					}
				}
				if n := c.Stats().PendingRequests; n != 0 {
					t.Errorf("%d requests are pending", n)
				}
			})
		})
	}
}

// What the server may answer instead of a reply.
func TestRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		app := &protocol.Error{Code: "NO_SUCH_ROOM", Message: "комната закрыта"}
		answers := map[string]error{
			"application": app, "internal": protocol.ErrInternal,
			"other": errors.New("not for you"),
		}
		_, ln := serve(t, server.Options{Logger: discard, Hooks: server.Hooks{
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				return protocol.Payload{}, answers[r.Name]
			},
		}})
		c := dial(t, ln, client.Options{})
		for name, want := range answers {
			if name == "other" {
				want = protocol.ErrInternal
			}
			_, err := c.Request(t.Context(), name, protocol.Text("x"))
			if !errors.Is(err, want) {
				t.Errorf("%s: got %v", name, err)
			}
			var got *protocol.Error
			if errors.As(err, &got) && *got != *app {
				t.Errorf("%s: got %+v", name, *got)
			}
		}
	})
}

// Without a deadline of its own a request waits for Options.Timeout, one minute
// unless it says otherwise.
func TestDefaultTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		_, ln := serve(t, server.Options{Hooks: server.Hooks{
			OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
				<-release
				return protocol.Payload{}, nil
			},
		}})
		quick := dial(t, ln, client.Options{Timeout: 3 * time.Second})
		usual := dial(t, ln, client.Options{})
		cancellable, cancel := context.WithCancel(t.Context())
		defer cancel()
		longer, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		for name, test := range map[string]struct {
			done <-chan outcome
			want time.Duration
		}{
			"default":           {begin(context.Background(), usual, "r", "x"), time.Minute},
			"cancellable":       {begin(cancellable, usual, "r", "x"), time.Minute},
			"option":            {begin(context.Background(), quick, "r", "x"), 3 * time.Second},
			"deadline, longer":  {begin(longer, quick, "r", "x"), time.Hour},
			"deadline, shorter": {begin(after(t, time.Second), usual, "r", "x"), time.Second},
		} {
			out := <-test.done
			if out.took != test.want || !errors.Is(out.err, context.DeadlineExceeded) {
				t.Errorf("%s: got %v after %v, want it after %v", name, out.err, out.took, test.want)
			}
			var late *client.TimeoutError
			if isOurs := errors.As(out.err, &late); isOurs == strings.HasPrefix(name, "deadline") || isOurs && late.After != test.want {
				t.Errorf("%s: got %#v", name, out.err)
			}
		}
	})
}

func after(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// A request that is given up ends at once, and disturbs nobody: its reply is
// dropped, as are replies that come twice and those to nothing.
func TestRepliesToNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := dial(t, ln, client.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		first := begin(ctx, c, "first", "x")
		p := accept(t, ln, protocol.V1_2, protocol.Conf{})
		late := p.receive().ID
		cancel()
		if out := <-first; out.err != context.Canceled {
			t.Errorf("got %v", out.err)
		}
		second := begin(t.Context(), c, "second", "x")
		id := p.receive().ID
		if n := c.Stats().PendingRequests; n != 1 {
			t.Errorf("%d requests are pending", n)
		}
		p.reply(late, "late")
		p.reply(protocol.NewID(0), "zero")
		p.reply(protocol.NewID(1<<63+5), "out of the blue")
		if err := p.conn.Write([]byte{}, []byte{255}, []byte{191}, []byte("\xc1\x00\x00\x00\x00\x00\x00\x00\x00odd")); err != nil {
			t.Fatal(err)
		}
		p.reply(id, "right")
		p.reply(id, "twice")
		p.send(protocol.Message{Kind: protocol.ReplyInternalError, ID: id})
		if out := <-second; out.err != nil || out.reply.Text() != "right" {
			t.Errorf("got %q, %v", out.reply.Text(), out.err)
		}
		third := begin(t.Context(), c, "third", "x")
		p.reply(p.receive().ID, "third")
		if out := <-third; out.err != nil || out.reply.Text() != "third" {
			t.Errorf("got %q, %v", out.reply.Text(), out.err)
		}
		if st := c.Stats(); st.Dropped != 9 || st.PendingRequests != 0 || st.Connects != 1 {
			t.Errorf("got %+v", st)
		}
	})
}

// A reply belongs to the caller: later ones do not change it.
func TestRepliesAreTheCallers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, ln := serve(t, server.Options{Hooks: server.Hooks{OnRequest: echo}})
		c := dial(t, ln, client.Options{})
		var replies []protocol.Payload
		for i := range 200 {
			reply, err := c.Request(t.Context(), "", protocol.Text(fmt.Sprintf("%0*d", 1+i*13%300, i)))
			if err != nil {
				t.Fatal(err)
			}
			replies = append(replies, reply)
		}
		for i, reply := range replies {
			if want := fmt.Sprintf("%0*d", 1+i*13%300, i); reply.Text() != want {
				t.Errorf("reply %d became %q", i, reply.Text())
			}
			clear(reply.Data)
		}
	})
}

// The payload is the caller's again when Request or Signal returned, even if the
// bytes have not been written.
func TestPayloadsAreTheCallers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := dial(t, ln, client.Options{})
		go c.Connect(context.Background())
		p := accept(t, ln, protocol.V1_2, protocol.Conf{})
		synctest.Wait()
		// More than fits between the ends: the rest stays in the outbox.
		const all = 30
		for i := range all {
			data := bytes.Repeat([]byte{byte('a' + i)}, 10_000)
			ctx, cancel := context.WithCancel(t.Context())
			if i%2 == 0 {
				if err := c.Signal(ctx, "", protocol.Bytes(data)); err != nil {
					t.Fatal(err)
				}
			} else {
				done := make(chan error, 1)
				go func() {
					_, err := c.Request(ctx, "", protocol.Bytes(data))
					done <- err
				}()
				synctest.Wait()
				cancel()
				<-done
			}
			cancel()
			clear(data)
		}
		// Requests that were given up before they were written are missing.
		for i := 0; i < all-1; i++ {
			m := p.receive()
			if got := int(m.Payload.Data[0] - 'a'); m.Kind == protocol.Signal && got == i+1 {
				i++
			}
			if !bytes.Equal(m.Payload.Data, bytes.Repeat([]byte{byte('a' + i)}, 10_000)) {
				t.Errorf("message %d arrives as %q...", i, m.Payload.Data[:10])
			}
		}
	})
}

func TestManyRequestsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		_, ln := serve(t, server.Options{Hooks: server.Hooks{
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				<-release
				return r.Payload, nil
			},
		}})
		c := dial(t, ln, client.Options{})
		var group sync.WaitGroup
		for i := range 64 {
			group.Go(func() {
				text := fmt.Sprint(i)
				reply, err := c.Request(context.Background(), "", protocol.Text(text))
				if err != nil || reply.Text() != text {
					t.Errorf("%s: got %q, %v", text, reply.Text(), err)
				}
			})
		}
		synctest.Wait()
		if n := c.Stats().PendingRequests; n != 64 {
			t.Errorf("%d requests are pending, want 64", n)
		}
		close(release)
		group.Wait()
		if n := c.Stats().PendingRequests; n != 0 {
			t.Errorf("%d requests are pending", n)
		}
		if st := c.Stats(); st.Connects != 1 {
			t.Errorf("%d connections", st.Connects)
		}
	})
}

// What is longer than a 2.0 server said it takes is not sent.
func TestMessageTooBigForServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := dial(t, ln, client.Options{Versions: []protocol.Version{protocol.V2_0}})
		go c.Connect(context.Background())
		p := accept(t, ln, protocol.V2_0, protocol.Conf{MessageSize: 100, ReadTimeout: time.Minute})
		synctest.Wait()
		_, err := c.Request(t.Context(), "", protocol.Bytes(make([]byte, 91)))
		if err == nil || !strings.Contains(err.Error(), "101 bytes") || !strings.Contains(err.Error(), "100") {
			t.Errorf("got %v", err)
		}
		if err := c.Signal(t.Context(), "", protocol.Bytes(make([]byte, 99))); err == nil {
			t.Error("the signal was sent")
		}
		done := make(chan error, 1)
		go func() {
			_, err := c.Request(t.Context(), "", protocol.Bytes(make([]byte, 90)))
			done <- err
		}()
		m := p.receive()
		if len(m.Payload.Data) != 90 {
			t.Errorf("the server gets a message of %d bytes", len(m.Payload.Data))
		}
		p.reply(m.ID, "good")
		if err := <-done; err != nil {
			t.Error(err)
		}
		if st := c.Stats(); st.Sent != 1 || st.Connects != 1 {
			t.Errorf("got %+v", st)
		}
	})
}

// A reply that is longer than the client takes ends a connection of 2.0, and the
// outcome of the request says why. A server of 3.0 knows the client's limit.
func TestReplyTooBig(t *testing.T) {
	bubble(t, func(t *testing.T) {
		reasons := make(chan error, 3)
		_, ln := serve(t, server.Options{Hooks: server.Hooks{
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				if r.Name == "big" {
					return protocol.Bytes(make([]byte, 2000)), nil
				}
				return protocol.Bytes(make([]byte, 1989)), nil
			},
			OnClientDisconnected: func(_ *server.Conn, reason error) { reasons <- reason },
		}})
		newest := dial(t, ln, client.Options{MaxMessageSize: 2000})
		if _, err := newest.Request(t.Context(), "big", protocol.Text("x")); protocol.CodeOf(err) != protocol.CodeTooBig {
			t.Errorf("3.0: %v", err)
		}
		if _, err := newest.Request(t.Context(), "fits", protocol.Text("x")); err != nil || newest.Stats().Connects != 1 {
			t.Errorf("3.0: %v after %d connects", err, newest.Stats().Connects)
		}
		c := dial(t, ln, client.Options{MaxMessageSize: 2000, Versions: []protocol.Version{protocol.V2_0}})
		if _, err := c.Request(t.Context(), "fits", protocol.Text("x")); err != nil {
			t.Error(err)
		}
		_, err := c.Request(t.Context(), "big", protocol.Text("x"))
		var lost *client.DisconnectedError
		var closed *transport.CloseError
		if !errors.As(err, &lost) || !lost.Sent || !errors.As(err, &closed) || closed.Status != transport.StatusMessageTooBig {
			t.Errorf("got %v", err)
		}
		if err := <-reasons; !errors.As(err, &closed) || closed.Status != transport.StatusMessageTooBig {
			t.Errorf("the server learns %v", err)
		}
		if _, err := c.Request(t.Context(), "fits", protocol.Text("x")); err != nil {
			t.Errorf("after it: %v", err)
		}
	})
}

// A caller that gave up before it began sends nothing.
func TestRequestAfterItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, ln := serve(t, server.Options{Hooks: server.Hooks{OnRequest: echo}})
		c := dial(t, ln, client.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 2 {
			if _, err := c.Request(ctx, "", protocol.Text("x")); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if err := c.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if st := c.Stats(); st.Sent != 0 {
			t.Errorf("%d messages were sent", st.Sent)
		}
	})
}
