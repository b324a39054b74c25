package client_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// trial is a client whose server's end a test plays.
type trial struct {
	*testing.T
	ln     *memory.Listener
	client *client.Client
	peer   *peer
}

// accepted returns the server's end of the client's connection.
func (t *trial) accepted(conf protocol.Conf) *peer {
	v := protocol.V1_2
	if conf.MessageSize > 0 {
		v = protocol.V2_0
	}
	connected := make(chan error, 1)
	go func() { connected <- t.client.Connect(context.Background()) }()
	t.peer = accept(t.T, t.ln, v, conf)
	if err := <-connected; err != nil {
		t.Fatal(err)
	}
	return t.peer
}

// request makes a request named "r" and returns its error. What the server does once it
// has received the request is up to answer.
func (t *trial) request(ctx context.Context, answer func(p *peer, id protocol.ID)) error {
	done := begin(ctx, t.client, "r", "x")
	if answer != nil {
		answer(t.peer, t.peer.receive().ID)
	}
	return (<-done).err
}

// answered returns the outcome of a request that the server answers with a message.
func (t *trial) answered(m protocol.Message) error {
	t.accepted(protocol.Conf{})
	return t.request(context.Background(), func(p *peer, id protocol.ID) {
		m.ID = id
		p.send(m)
	})
}

// crowded returns the outcome of a request that waits for room in the outbox until ctx
// ends.
func (t *trial) crowded(ctx context.Context) error {
	t.accepted(protocol.Conf{})
	for _, size := range []int{1 << 10, 1} {
		for filled := false; !filled; {
			short, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			filled = t.client.Signal(short, "", protocol.Bytes(make([]byte, size))) != nil
			cancel()
		}
	}
	return t.request(ctx, nil)
}

func ignore(*peer, protocol.ID) {}

func cancelledAfter(d time.Duration) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(d, cancel)
	return ctx
}

// Every outcome of a request says whether the server may have executed it, and those
// that deny it are right.
func TestMaybeExecuted(t *testing.T) {
	const (
		soon  = time.Second
		limit = time.Minute // Options.Timeout
	)
	background := context.Background()
	within := func(t *trial) context.Context { return after(t.T, soon) }
	for _, c := range []struct {
		name string
		opts client.Options
		run  func(t *trial) error
		is   error // what the outcome is, nil for anything
		want bool
	}{
		{name: "reply", want: true, run: func(t *trial) error {
			return t.answered(protocol.Message{Kind: protocol.Reply, Payload: protocol.Text("x")})
		}},
		{name: "error of the application", is: &protocol.Error{Code: "NO"}, want: true, run: func(t *trial) error {
			return t.answered(protocol.V1_2.Failure(protocol.ID{}, &protocol.Error{Code: "NO"}))
		}},
		{name: "internal error", is: protocol.ErrInternal, want: true, run: func(t *trial) error {
			return t.answered(protocol.Message{Kind: protocol.ReplyInternalError})
		}},
		{name: "reply that cannot be read", is: protocol.ErrMalformed, want: true, run: func(t *trial) error {
			t.accepted(protocol.Conf{})
			return t.request(background, func(p *peer, id protocol.ID) {
				b, _ := protocol.V1_2.Append(nil, protocol.Message{Kind: protocol.Reply, ID: id, Payload: protocol.UTF16Text("x")})
				if err := p.conn.Write(b[:len(b)-1]); err != nil {
					t.Error(err)
				}
			})
		}},
		{name: "error reply that cannot be read", is: protocol.ErrMalformed, want: true, run: func(t *trial) error {
			return t.answered(protocol.Message{Kind: protocol.ReplyError, Payload: protocol.Text("no JSON")})
		}},
		{name: "shutdown, and no server comes after it", is: context.DeadlineExceeded, run: func(t *trial) error {
			return t.answered(protocol.Message{Kind: protocol.ReplyShutdown})
		}},

		{name: "connection lost", is: client.ErrDisconnected, want: true, run: func(t *trial) error {
			t.accepted(protocol.Conf{})
			return t.request(background, func(p *peer, _ protocol.ID) { p.conn.Abort() })
		}},
		{name: "connection lost before it was sent", is: client.ErrDisconnected, run: func(t *trial) error {
			time.AfterFunc(soon, func() { t.peer.conn.Abort() })
			return t.crowded(background)
		}},
		{name: "closed in flight", is: client.ErrClosed, want: true, run: func(t *trial) error {
			t.accepted(protocol.Conf{})
			return t.request(background, func(*peer, protocol.ID) { go t.client.Close() })
		}},
		{name: "closed before", is: client.ErrClosed, run: func(t *trial) error {
			t.client.Close()
			return t.request(background, nil)
		}},
		{name: "closed while connecting", is: client.ErrClosed, run: func(t *trial) error {
			time.AfterFunc(soon, func() { t.client.Close() })
			return t.request(background, nil)
		}},
		{name: "not connected", opts: client.Options{DisableAutoconnect: true}, is: client.ErrDisconnected, run: func(t *trial) error {
			return t.request(background, nil)
		}},
		{name: "given up", is: client.ErrDisconnected, run: func(t *trial) error {
			t.client = dial(t.T, dialerFunc(func(context.Context, transport.DialOptions) (transport.Conn, error) {
				return nil, transport.ErrConfig
			}), client.Options{Logger: discard})
			return t.request(background, nil)
		}},

		{name: "context ended before", is: context.Canceled, run: func(t *trial) error {
			ctx, cancel := context.WithCancel(background)
			cancel()
			return t.request(ctx, nil)
		}},
		{name: "context ended before, connected", is: context.Canceled, run: func(t *trial) error {
			t.accepted(protocol.Conf{})
			ctx, cancel := context.WithCancel(background)
			cancel()
			return t.request(ctx, nil)
		}},
		{name: "context cancelled while connecting", is: context.Canceled, run: func(t *trial) error {
			return t.request(cancelledAfter(soon), nil)
		}},
		{name: "context late while connecting", is: context.DeadlineExceeded, run: func(t *trial) error {
			return t.request(within(t), nil)
		}},
		{name: "late while connecting", is: context.DeadlineExceeded, run: func(t *trial) error {
			return t.request(background, nil)
		}},
		{name: "late while connecting by way of another client", is: context.DeadlineExceeded, run: func(t *trial) error {
			t.client = dial(t.T, dialerFunc(func(context.Context, transport.DialOptions) (transport.Conn, error) {
				return nil, &client.DisconnectedError{Sent: true, Cause: errors.New("the other's")}
			}), client.Options{Logger: discard})
			return t.request(background, nil)
		}},
		{name: "context cancelled without room", is: context.Canceled, run: func(t *trial) error {
			return t.crowded(cancelledAfter(soon))
		}},
		{name: "context late without room", is: context.DeadlineExceeded, run: func(t *trial) error {
			return t.crowded(within(t))
		}},
		{name: "late without room", is: context.DeadlineExceeded, run: func(t *trial) error {
			return t.crowded(background)
		}},
		{name: "context cancelled in flight", is: context.Canceled, want: true, run: func(t *trial) error {
			t.accepted(protocol.Conf{})
			return t.request(cancelledAfter(soon), ignore)
		}},
		{name: "context late in flight", is: context.DeadlineExceeded, want: true, run: func(t *trial) error {
			t.accepted(protocol.Conf{})
			return t.request(within(t), ignore)
		}},
		{name: "late in flight", is: context.DeadlineExceeded, want: true, run: func(t *trial) error {
			t.accepted(protocol.Conf{})
			return t.request(background, ignore)
		}},

		{name: "name that cannot be sent", is: protocol.ErrMalformed, run: func(t *trial) error {
			t.accepted(protocol.Conf{})
			_, err := t.client.Request(background, "имя", protocol.Text("x"))
			return err
		}},
		{name: "longer than the server accepts", is: protocol.ErrTooBig, run: func(t *trial) error {
			t.accepted(protocol.Conf{MessageSize: 100})
			_, err := t.client.Request(background, "r", protocol.Bytes(make([]byte, 100)))
			return err
		}},
		{name: "argument without JSON form", run: func(t *trial) error {
			_, err := client.Call[int](background, t.client, "r", func() {})
			return err
		}},
		{name: "reply without JSON", want: true, run: func(t *trial) error {
			t.accepted(protocol.Conf{})
			done := make(chan error)
			go func() {
				_, err := client.Call[int](background, t.client, "r", 1)
				done <- err
			}()
			t.peer.reply(t.peer.receive().ID, "prose")
			return <-done
		}},
		{name: "session closed while connecting", is: client.ErrDisconnected, run: func(t *trial) error {
			p := t.accepted(protocol.Conf{})
			data, err := protocol.V1_2.AppendSession(nil, protocol.Session{Key: "K", Created: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			p.send(protocol.Message{Kind: protocol.SessionCreated, Payload: protocol.Payload{Encoding: protocol.UTF8, Data: data}})
			synctest.Wait()
			p.conn.Abort()
			synctest.Wait()
			done := begin(background, t.client, "r", "x")
			p = accept(t.T, t.ln, protocol.V1_2, protocol.Conf{})
			p.send(protocol.V1_2.Failure(p.receive().ID, protocol.ErrSessionNotFound))
			return (<-done).err
		}},
		{name: "session not found", is: protocol.ErrSessionNotFound, run: func(t *trial) error {
			p := t.accepted(protocol.Conf{})
			done := make(chan error)
			go func() { done <- t.client.RestoreSession(background, "K") }()
			p.send(protocol.V1_2.Failure(p.receive().ID, protocol.ErrSessionNotFound))
			return <-done
		}},
		{name: "closing a session, context late", is: context.DeadlineExceeded, want: true, run: func(t *trial) error {
			p := t.accepted(protocol.Conf{})
			done := make(chan error)
			go func() { done <- t.client.RestoreSession(within(t), "K") }()
			p.receive()
			return <-done
		}},
		{name: "an error of something else", want: true, run: func(*trial) error { return errors.New("x") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				opts := c.opts
				opts.Logger, opts.Timeout, opts.OutboxSize = discard, limit, 10<<10
				opts.WriteTimeout, opts.ReadTimeout = time.Hour, 24*time.Hour
				tr := &trial{T: t, ln: memory.Listen()}
				if c.name == "late while connecting" {
					tr.ln.Close()
				}
				tr.client = dial(t, tr.ln, opts)
				err := c.run(tr)
				if c.is != nil && !errors.Is(err, c.is) {
					t.Errorf("the outcome is %v, want %v", err, c.is)
				}
				for _, err := range []error{err, fmt.Errorf("wrapped: %w", err)} {
					if got := client.MaybeExecuted(err); got != c.want {
						t.Errorf("%v: %t, want %t", err, got, c.want)
					}
				}
			})
		})
	}
	if !client.MaybeExecuted(nil) {
		t.Error("a request that succeeded was executed")
	}
}
