package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// guarded is a Dialer that takes a token once, and answers 401 for others.
type guarded struct {
	*network
	seen    []string
	refused int
}

func (g *guarded) check(opts transport.DialOptions) error {
	token := opts.Header.Get("Authorization")
	defer func() { g.seen = append(g.seen, token) }()
	if slices.Contains(g.seen, token) {
		g.refused++
		return &transport.RefusedError{StatusCode: http.StatusUnauthorized}
	}
	return nil
}

func (g *guarded) Dial(ctx context.Context, opts transport.DialOptions) (transport.Conn, error) {
	if err := g.check(opts); err != nil {
		return nil, err
	}
	return g.network.Dial(ctx, opts)
}

// Each attempt has a header of its own, so that a token may expire.
func TestHeaderOfEachAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := &guarded{network: newNetwork(t)}
		g.serve(server.Options{})
		tokens := 0
		c := closeAtEnd(t, client.New(g, client.Options{Logger: discard, Header: func(context.Context) (http.Header, error) {
			tokens++
			return http.Header{"Authorization": {fmt.Sprint("token ", tokens)}}, nil
		}}))
		for range 3 {
			connect(t, c)
			g.near().Cut()
			synctest.Wait()
		}
		connect(t, c)
		if want := []string{"token 1", "token 2", "token 3", "token 4"}; !slices.Equal(g.seen, want) {
			t.Errorf("%q, want %q", g.seen, want)
		}
	})
}

// metadata is a Prober that tells which headers it got.
type metadata struct{ dialled, probed chan string }

func (m metadata) Dial(_ context.Context, opts transport.DialOptions) (transport.Conn, error) {
	m.dialled <- opts.Header.Get("Authorization")
	return nil, &transport.RefusedError{StatusCode: http.StatusNotFound}
}

func (m metadata) Probe(_ context.Context, opts transport.DialOptions) ([]byte, error) {
	m.probed <- opts.Header.Get("Authorization")
	return nil, &transport.RefusedError{StatusCode: http.StatusNotFound}
}

// The question for the metadata has the header of its attempt.
func TestHeaderOfProbe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		calls := 0
		m := metadata{make(chan string, 10), make(chan string, 10)}
		c := dial(t, m, client.Options{
			Logger: discard, DisableAutoconnect: true,
			Header: func(context.Context) (http.Header, error) {
				calls++
				return http.Header{"Authorization": {"token"}}, nil
			},
		})
		if err := c.Connect(t.Context()); err == nil {
			t.Error("connected")
		}
		if dialled, probed := <-m.dialled, <-m.probed; dialled != "token" || probed != "token" || calls != 1 {
			t.Errorf("Dial got %q, Probe got %q, after %d calls", dialled, probed, calls)
		}
	})
}

var errNoToken = errors.New("no token")

// What goes wrong in Options.Header fails the attempt, which is within its time, and
// GiveUp decides about the next.
func TestHeaderFails(t *testing.T) {
	for name, header := range map[string]func(ctx context.Context) (http.Header, error){
		"error":  func(context.Context) (http.Header, error) { return nil, errNoToken },
		"panic":  func(context.Context) (http.Header, error) { panic("oops") },
		"Goexit": func(context.Context) (http.Header, error) { runtime.Goexit(); return nil, nil },
		"slow":   func(context.Context) (http.Header, error) { time.Sleep(15 * time.Second); return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := newNetwork(t)
				n.serve(server.Options{})
				failed := false
				c := n.client(client.Options{
					Hooks: client.Hooks{OnConnectError: func(_ context.Context, err error) {
						if name == "error" && !errors.Is(err, errNoToken) || name == "slow" && !errors.Is(err, context.DeadlineExceeded) {
							t.Error(err)
						}
					}},
					Header: func(ctx context.Context) (http.Header, error) {
						if !failed {
							failed = true
							return header(ctx)
						}
						return nil, nil
					},
				})
				start := time.Now()
				request(t, c)
				took(t, "the second attempt", start, 0, 20*time.Second)
				if n := len(n.dialled()); n != 1 || c.Stats().Attempts < 2 {
					t.Errorf("dialled %d times, %+v", n, c.Stats())
				}
			})
		})
	}
	bubble(t, func(t *testing.T) {
		c := newNetwork(t).client(client.Options{
			Header: func(context.Context) (http.Header, error) { return nil, errNoToken },
			GiveUp: func(err error) bool { return errors.Is(err, errNoToken) || client.GiveUp(err) },
		})
		if err := c.Connect(t.Context()); !errors.Is(err, errNoToken) || c.Stats().Attempts != 1 {
			t.Errorf("%v after %d attempts", err, c.Stats().Attempts)
		}
	})
}

// Options.GiveUp decides, with what is known of the attempts before.
func TestGiveUp(t *testing.T) {
	for name, c := range map[string]struct {
		answers []int // HTTP statuses; the last one again and again
		giveUp  func(err error) bool
		want    uint64 // attempts
	}{
		"403 and 404 are tried again": {answers: []int{403, 404, 403, 404, 410}, want: 5},
		"the same 401 twice":          {answers: []int{401, 401}, want: 2},
		"two 401 not in a row":        {answers: []int{401, 503, 401, 401}, want: 4},
		"never": {answers: []int{410}, want: 100, giveUp: func(err error) bool {
			var again *client.RepeatedError
			return errors.As(err, &again) && again.Times == 100
		}},
		"at once": {answers: []int{503}, want: 1, giveUp: func(error) bool { return true }},
		"after panics": {answers: []int{503, 503, 410}, want: 3, giveUp: func(err error) bool {
			if !client.GiveUp(err) {
				panic("oops")
			}
			return true
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var cl *client.Client
				gaveUp := make(chan error, 1)
				cl = dial(t, dialerFunc(func(context.Context, transport.DialOptions) (transport.Conn, error) {
					i := min(int(cl.Stats().Attempts), len(c.answers)) - 1
					return nil, &transport.RefusedError{StatusCode: c.answers[i]}
				}), client.Options{Logger: discard, GiveUp: func(err error) bool {
					_ = cl.Status() // no lock is held
					if c.giveUp != nil {
						return c.giveUp(err)
					}
					return client.GiveUp(err)
				}, Hooks: client.Hooks{OnConnectFailed: func(_ context.Context, err error) { gaveUp <- err }}})
				_, err := cl.Request(after(t, 24*time.Hour), "echo", protocol.Text("x"))
				if reason := <-gaveUp; !errors.Is(err, reason) || cl.Stats().Attempts != c.want {
					t.Errorf("gave up after %d attempts, want %d: %v, %v", cl.Stats().Attempts, c.want, reason, err)
				}
			})
		})
	}
}

// A 401 before a connection and one after it are not twice in a row.
func TestConnectionBetweenRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := &guarded{network: newNetwork(t)}
		g.serve(server.Options{})
		tokens := []string{"a", "a", "b", "b", "c"}
		c := closeAtEnd(t, client.New(g, client.Options{Logger: discard, Header: func(context.Context) (http.Header, error) {
			token := tokens[0]
			tokens = tokens[1:]
			return http.Header{"Authorization": {token}}, nil
		}}))
		for range 3 {
			connect(t, c)
			g.near().Cut()
			synctest.Wait()
		}
		if g.refused != 2 || len(tokens) != 0 {
			t.Errorf("%d refusals, %q are left", g.refused, tokens)
		}
	})
}
