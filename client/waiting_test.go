package client_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/transporttest"
)

// The timeout of a request that is made again, because the server that got it shuts down,
// does not begin anew.
func TestTimeoutOfRequestMadeAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := dial(t, ln, client.Options{Timeout: 10 * time.Second})
		done := begin(t.Context(), c, "r", "x")
		p := accept(t, ln, protocol.V2_0, protocol.Conf{})
		m := p.receive()
		time.Sleep(7 * time.Second)
		p.send(p.version.Failure(m.ID, protocol.ErrShutdown))
		synctest.Wait()
		p.conn.Abort() // and nobody accepts the next connection
		out := <-done
		var late *client.TimeoutError
		if !errors.As(out.err, &late) || late.After != 10*time.Second {
			t.Errorf("the outcome is %v", out.err)
		}
		if out.took != 10*time.Second {
			t.Errorf("it took %v", out.took)
		}
	})
}

// A request whose time is over before it could be sent has the reason.
func TestWhyARequestWaited(t *testing.T) {
	call := func(t *testing.T, c *client.Client) error {
		_, err := c.Request(t.Context(), "r", text("x"))
		return err
	}
	within := func(call func(ctx context.Context, c *client.Client) error) func(t *testing.T, c *client.Client) error {
		return func(t *testing.T, c *client.Client) error {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			return call(ctx, c)
		}
	}
	for name, call := range map[string]func(t *testing.T, c *client.Client) error{
		"timeout": call,
		"deadline": within(func(ctx context.Context, c *client.Client) error {
			_, err := c.Request(ctx, "r", text("x"))
			return err
		}),
		"stream": within(func(ctx context.Context, c *client.Client) (err error) {
			for _, err = range c.Stream(ctx, "r", text("x")) {
			}
			return err
		}),
		"connect": within(func(ctx context.Context, c *client.Client) error {
			return c.Connect(ctx)
		}),
	} {
		for _, state := range []struct {
			name string
			make func(n *network, srv *server.Server, c *client.Client)
			want error
			text string
		}{
			{"away", func(n *network, _ *server.Server, _ *client.Client) {
				n.away()
				n.near().Cut()
				time.Sleep(20 * time.Second)
			}, syscall.ECONNREFUSED, "client: not connected within 5s: dial: "},
			{"away, and no attempt has ended", func(n *network, _ *server.Server, _ *client.Client) {
				n.faults.Refuse(transporttest.Hanging)
				n.dialling().Cut()
				synctest.Wait()
			}, syscall.ECONNRESET, "client: not connected within 5s: transporttest: connection cut"},
			{"the server drains", func(n *network, srv *server.Server, c *client.Client) {
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				n.t.Cleanup(cancel)
				begin(ctx, c, "slow", "x")
				synctest.Wait()
				srv.BeginShutdown()
				synctest.Wait()
			}, protocol.ErrShutdown, "client: not sent within 5s: waiting to leave the server: "},
		} {
			if name == "connect" && state.want == protocol.ErrShutdown {
				continue // it is connected
			}
			t.Run(state.name+"/"+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					n := newNetwork(t)
					srv := n.serve(server.Options{ResumeWindow: window, Hooks: server.Hooks{
						OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
							time.Sleep(time.Minute)
							return protocol.Payload{}, nil
						},
					}})
					c := n.client(client.Options{Timeout: 5 * time.Second})
					connect(t, c)
					state.make(n, srv, c)
					err := call(t, c)
					var late *client.TimeoutError
					switch {
					case !errors.As(err, &late) || late.After != 5*time.Second || client.MaybeExecuted(err):
					case !errors.Is(err, state.want), !strings.HasPrefix(err.Error(), state.text):
					default:
						return
					}
					t.Errorf("the outcome is %v", err)
				})
			})
		}
	}
}

// A server may notice a moment before the client that the time of a request is over. The
// outcome is that of the client. A handler may have deadlines of its own.
func TestServerNoticesTheEndFirst(t *testing.T) {
	for name, test := range map[string]struct {
		after    time.Duration
		executed protocol.Executed
		own      bool // the outcome is the client's
		text     string
	}{
		"running":        {5*time.Second - 50*time.Millisecond, protocol.ExecutedMaybe, true, "client: no reply within 5s"},
		"waiting":        {5*time.Second - 50*time.Millisecond, protocol.ExecutedNo, true, "client: no reply within 5s: the server did not begin with it"},
		"of the handler": {time.Second, protocol.ExecutedMaybe, false, "protocol: context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ln := memory.Listen()
				c := dial(t, ln, client.Options{Timeout: 5 * time.Second})
				go c.Connect(t.Context())
				p := accept(t, ln, protocol.V3_0, protocol.Conf{})
				synctest.Wait()
				done := begin(t.Context(), c, "r", "x")
				m := p.receive()
				for !heard(m.Kind) {
					m = p.receive()
				}
				time.Sleep(test.after)
				failure := protocol.FailureError{Code: protocol.FailureDeadline, Executed: test.executed}
				p.send(failure.Message(m.ID))
				out := <-done
				var late *client.TimeoutError
				if errors.As(out.err, &late) != test.own || out.err.Error() != test.text {
					t.Errorf("the outcome is %v", out.err)
				}
				if maybe := client.MaybeExecuted(out.err); maybe != (test.executed != protocol.ExecutedNo) {
					t.Errorf("it may have been executed: %t", maybe)
				}
			})
		})
	}
}
