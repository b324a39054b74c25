package client_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// claims is what a token says.
type claims struct {
	User    string    `json:"user"`
	Expires time.Time `json:"expires"`
}

// signing is the key of tokens: claims in JSON, a dot, and their HMAC.
var signing = []byte("a key of the tests")

func mac(body string) []byte {
	h := hmac.New(sha256.New, signing)
	h.Write([]byte(body))
	return []byte(base64.RawURLEncoding.EncodeToString(h.Sum(nil)))
}

func token(user string, lasts time.Duration) []byte {
	claims, _ := json.Marshal(claims{user, time.Now().Add(lasts)})
	body := base64.RawURLEncoding.EncodeToString(claims)
	return fmt.Appendf(nil, "%s.%s", body, mac(body))
}

// statusForged is final, so that the client does not come back.
const statusForged transport.Status = 4501

// checkToken is an OnClientConnected.
func checkToken(_ context.Context, c *server.Conn) error {
	body, sum, _ := bytes.Cut(c.Credentials(), []byte("."))
	text, err := base64.RawURLEncoding.DecodeString(string(body))
	var said claims
	switch {
	case err != nil, !hmac.Equal(sum, mac(string(body))), json.Unmarshal(text, &said) != nil:
		return &transport.CloseError{Status: statusForged, Reason: "not our token"}
	case !time.Now().Before(said.Expires):
		return &transport.CloseError{Status: transport.StatusCredentialsExpired, Reason: "token has expired"}
	}
	c.SetValue(said.User)
	c.ExpiresAt(said.Expires)
	return nil
}

func whoami(_ context.Context, r *server.Request) (protocol.Payload, error) {
	return protocol.Text(r.Conn.Value().(string)), nil
}

// expired reports whether the connection of a request ended with its credentials.
func expired(err error) bool {
	var closed *transport.CloseError
	return errors.As(err, &closed) && closed.Status == transport.StatusCredentialsExpired
}

// A token that expires every minute does not disturb a page that works on: it connects
// again with a new one. Handlers that run finish, and what fails meanwhile was not
// executed.
func TestExpiringToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var made, executed atomic.Int64
		srv, c := dial3(t, server.Options{Hooks: server.Hooks{
			OnClientConnected: checkToken,
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				executed.Add(1)
				time.Sleep(300 * time.Millisecond)
				return whoami(ctx, r)
			},
		}}, client.Options{Credentials: func(context.Context) ([]byte, error) {
			return token(fmt.Sprint("user ", made.Add(1)), time.Minute), nil
		}})
		sent := 0
		for began := time.Now(); time.Since(began) < 10*time.Minute+30*time.Second; sent++ {
			p, err := c.Request(t.Context(), "whoami", protocol.Text("x"))
			for err != nil && (!client.MaybeExecuted(err) || expired(err)) {
				p, err = c.Request(t.Context(), "whoami", protocol.Text("x"))
			}
			if want := fmt.Sprint("user ", made.Load()); err != nil || p.Text() != want {
				t.Fatalf("after %v: %q, not %q: %v", time.Since(began), p.Text(), want, err)
			}
		}
		if n := made.Load(); n < 10 || n > 11 {
			t.Errorf("%d tokens in more than ten minutes", n)
		}
		if int64(sent) != executed.Load() {
			t.Errorf("%d requests, %d executed", sent, executed.Load())
		}
		if got := len(slices.Collect(srv.Conns())); got != 1 {
			t.Errorf("%d connections", got)
		}
	})
}

// What is refused for good is not tried again; what has expired is, with a new token; and
// if there is no token now the client asks for one again.
func TestRefusedCredentials(t *testing.T) {
	errNoToken := errors.New("the identity provider is away")
	for name, test := range map[string]struct {
		tokens []func() ([]byte, error) // the last of them for good
		asked  int64
		status transport.Status // of the end; zero: there is none
	}{
		"good":    {tokens: []func() ([]byte, error){good}, asked: 1},
		"forged":  {[]func() ([]byte, error){func() ([]byte, error) { return append(token("eve", time.Hour), 'x'), nil }, good}, 1, statusForged},
		"none":    {[]func() ([]byte, error){func() ([]byte, error) { return nil, nil }, good}, 1, statusForged},
		"expired": {tokens: []func() ([]byte, error){func() ([]byte, error) { return token("ann", 0), nil }, good}, asked: 2},
		"fails":   {tokens: []func() ([]byte, error){func() ([]byte, error) { return nil, errNoToken }, good}, asked: 2},
		"too big": {tokens: []func() ([]byte, error){func() ([]byte, error) { return make([]byte, 9<<10), nil }, good}, asked: 2},
		"late": {tokens: []func() ([]byte, error){func() ([]byte, error) {
			time.Sleep(time.Hour)
			return nil, nil
		}, good}, asked: 2},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var asked atomic.Int64
				var mux server.Mux
				mux.Request("whoami", whoami)
				failed := make(chan error, 1)
				_, c := dial3(t, server.Options{Handler: &mux, Hooks: server.Hooks{OnClientConnected: checkToken}},
					client.Options{
						Credentials: func(context.Context) ([]byte, error) {
							n := asked.Add(1)
							return test.tokens[min(int(n), len(test.tokens))-1]()
						},
						Timeout: 2 * time.Hour,
						Hooks:   client.Hooks{OnConnectFailed: func(_ context.Context, err error) { failed <- err }},
					})
				p, err := c.Request(t.Context(), "whoami", protocol.Text("x"))
				if test.status != 0 {
					var closed *transport.CloseError
					if !errors.As(err, &closed) || closed.Status != test.status || closed.Reason != "not our token" {
						t.Errorf("got %q, %v", p.Text(), err)
					}
					if err := <-failed; !errors.As(err, &closed) || closed.Status != test.status {
						t.Errorf("the client gave up for %v", err)
					}
					time.Sleep(time.Hour)
				} else if err != nil { // it was sent to the connection that was then refused
					t.Log(err)
					p, err = c.Request(t.Context(), "whoami", protocol.Text("x"))
				}
				if test.status == 0 && (err != nil || p.Text() != "ann") {
					t.Errorf("got %q, %v", p.Text(), err)
				}
				synctest.Wait()
				if n := asked.Load(); n != test.asked {
					t.Errorf("asked %d times for credentials, not %d", n, test.asked)
				}
			})
		})
	}
}

func good() ([]byte, error) { return token("ann", 24*time.Hour), nil }
