package sessions_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// wantReplaced fails the test unless the connection was closed because another one took
// its session over.
func (w *wire) wantReplaced() {
	w.t.Helper()
	_, err := w.conn.Read(nil)
	var closed *transport.CloseError
	if !errors.As(err, &closed) || closed.Status != transport.StatusReplaced || !closed.Status.Final() {
		w.t.Errorf("the connection ended with %v", err)
	}
}

// With one connection for each session the newest takes it over: the server may not have
// noticed that the older one is gone.
func TestNewestTakesOver(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		reasons := make(chan error, 9)
		s := open(t, v, server.Options{MaxSessionConns: 1, Hooks: server.Hooks{
			OnClientDisconnected: func(c *server.Conn, reason error) {
				if _, ok := c.Session(); !ok {
					t.Error("OnClientDisconnected does not learn whose connection it was")
				}
				reasons <- reason
			},
		}})
		silent := s.wire()
		key := silent.login()
		for range 3 {
			w := s.wire()
			w.want(w.send(protocol.RestoreSession, "", key), protocol.Reply)
			silent.wantReplaced()
			wantErr(t, <-reasons, server.ErrSessionReplaced)
			s.wantConns(key, 1)
			silent = w
		}
		silent.want(silent.send(protocol.RestoreSession, "", key), protocol.Reply) // its own
		s.wantConns(key, 1)
		if got := silent.want(silent.send(protocol.Request, "whoami", "?"), protocol.Reply).Payload.Text(); got == "nobody" {
			t.Error("the newest connection has no session")
		}
	})
}

// The connection that joined the session first is the one to go, wherever there is more
// than one place.
func TestOldestIsReplaced(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{MaxSessionConns: 2, SessionPolicy: server.ReplaceOldest})
		late := s.wire() // connects first, joins last
		first, second := s.wire(), s.wire()
		key := first.login()
		second.want(second.send(protocol.RestoreSession, "", key), protocol.Reply)
		late.want(late.send(protocol.RestoreSession, "", key), protocol.Reply)
		first.wantReplaced()
		s.wantConns(key, 2)
		third := s.wire()
		third.want(third.send(protocol.RestoreSession, "", key), protocol.Reply)
		second.wantReplaced()
		s.wantConns(key, 2)
	})
}

// Nobody loses a session to a restore that fails, and many at once leave one.
func TestReplacingIsOneStep(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		s := open(t, v, server.Options{MaxSessionConns: 1, Hooks: server.Hooks{
			OnSessionCreated: nothing,
			OnSessionLookup:  lookupFails,
		}})
		owner, other := s.wire(), s.wire()
		key := owner.login()
		other.want(other.send(protocol.RestoreSession, "", key), protocol.ReplyInternalError)
		s.wantConns(key, 1)
		owner.want(owner.send(protocol.RestoreSession, "", key), protocol.Reply)

		s = open(t, v, server.Options{MaxSessionConns: 1})
		key = s.wire().login()
		for range 50 {
			w := s.wire()
			w.send(protocol.RestoreSession, "", key)
		}
		s.wantConns(key, 1)
		synctest.Wait()
		if open := s.Stats().Open; open != 1 {
			t.Errorf("%d connections are open", open)
		}
	})
}

// A connection that lost its session begins nothing more, even if its peer does not
// answer the close.
func TestReplacedHandlesNothing(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		var all events
		s := open(t, v, server.Options{MaxSessionConns: 1, Hooks: server.Hooks{
			OnSignal: noteSignal(&all),
		}})
		old, w := s.wire(), s.wire()
		key := old.login()
		w.want(w.send(protocol.RestoreSession, "", key), protocol.Reply)
		b, err := v.Append(nil, protocol.Message{Kind: protocol.Signal, Name: "late", Payload: protocol.Text("x")})
		if err != nil {
			t.Fatal(err)
		}
		_ = old.conn.Write(b) // it may be closed
		time.Sleep(time.Minute)
		all.want(t)
	})
}
