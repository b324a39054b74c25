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
	"github.com/webwire-go/webwire/transport/memory"
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

// An update of the session is what Session returns from then on. One that overtakes the
// reply to restoring is newer than that.
func TestSessionUpdated(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t)
		n.serve(server.Options{Sessions: &session.MemoryStore{}, Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				if r.Name == "login" {
					return login(ctx, r)
				}
				_, err := r.Conn.UpdateSession(ctx, map[string]string{"name": r.Payload.Text()})
				return protocol.Payload{}, err
			},
		}})
		updates := make(chan session.Session, 10)
		c := n.client(client.Options{Hooks: client.Hooks{
			OnSessionUpdated: func(_ context.Context, s session.Session) { updates <- s },
		}})
		for _, name := range []string{"login", "rename"} {
			if _, err := c.Request(t.Context(), name, text("bob")); err != nil {
				t.Fatal(err)
			}
		}
		s, has := c.Session()
		if info, err := session.InfoAs[map[string]string](s); !has || err != nil || info["name"] != "bob" {
			t.Errorf("after the reply the session is %v, %v", info, err)
		}
		if told := <-updates; told.Key != s.Key || string(told.Info) != string(s.Info) {
			t.Errorf("OnSessionUpdated got %s, want %s", told.Info, s.Info)
		}
		n.near().Cut()
		connect(t, c)
		if again, _ := c.Session(); string(again.Info) != string(s.Info) || len(updates) != 0 {
			t.Errorf("restored %s, want %s, and %d updates", again.Info, s.Info, len(updates))
		}
	})
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := dial(t, ln, client.Options{Keys: &keptKey{key: "K"}})
		connected := make(chan error, 1)
		go func() { connected <- c.Connect(t.Context()) }()
		p := accept(t, ln, protocol.V1_2, protocol.Conf{})
		restore := p.receive()
		object := func(info string) protocol.Payload {
			data, err := protocol.V1_2.AppendSession(nil, protocol.Session{Key: "K", Created: time.Now(), Info: []byte(info)})
			if err != nil {
				t.Fatal(err)
			}
			return protocol.Payload{Encoding: protocol.UTF8, Data: data}
		}
		p.send(protocol.Message{Kind: protocol.SessionCreated, Payload: object(`"new"`)})
		p.send(protocol.Message{Kind: protocol.Reply, ID: restore.ID, Payload: object(`"old"`)})
		if err := <-connected; err != nil {
			t.Fatal(err)
		}
		if s, _ := c.Session(); string(s.Info) != `"new"` {
			t.Errorf("the session is %s", s.Info)
		}
	})
}
