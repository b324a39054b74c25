package client_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/session/sessiontest"
)

// What clients do about sessions is in testdata/session.json, see TestScenarios. Here it
// meets a real server.

// A store that fails for a moment, while the client comes back, does not cost it the
// session.
func TestRestoredAfterStoreFailed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		store := &sessiontest.Faulty{Store: &session.MemoryStore{}}
		srv := n.serve(server.Options{Sessions: store, Hooks: server.Hooks{OnRequest: login}})
		told := make(chan string, 10)
		c := n.client(client.Options{Hooks: client.Hooks{
			OnConnected:       func(context.Context) { told <- "connected" },
			OnSessionError:    func(_ context.Context, err error) { told <- err.Error() },
			OnSessionRestored: func(_ context.Context, s session.Session) { told <- "restored" },
		}})
		if _, err := c.Request(t.Context(), "login", text("x")); err != nil {
			t.Fatal(err)
		}
		before, _ := c.Session()
		store.Break(sessiontest.Load, sessiontest.Fail(errors.New("database is restarting")))
		n.near().Cut()
		time.Sleep(time.Minute)
		if _, has := c.Session(); has || c.Status() != client.Connected {
			t.Errorf("the client is %v and has a session: %t", c.Status(), has)
		}
		store.Mend(sessiontest.Load)
		time.Sleep(time.Minute)
		if s, has := c.Session(); !has || s.Key != before.Key {
			t.Error("the session is lost")
		}
		if open := srv.Stats().Open; open != 1 || c.Stats().Connects != 2 {
			t.Errorf("%d connections of %d", open, c.Stats().Connects)
		}
		c.Close()
		synctest.Wait()
		close(told)
		var all []string
		for what := range told {
			all = append(all, what)
		}
		if want := []string{"connected", protocol.ErrInternal.Error(), "connected", "restored"}; !slices.Equal(all, want) {
			t.Errorf("%q, want %q", all, want)
		}
	})
}

// created returns what a server says of a session that it created.
func created(t *testing.T, key string) protocol.Message {
	t.Helper()
	data, err := protocol.V1_2.AppendSession(nil, protocol.Session{Key: key, Created: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return protocol.Message{Kind: protocol.SessionCreated, Payload: protocol.Payload{Encoding: protocol.UTF8, Data: data}}
}
