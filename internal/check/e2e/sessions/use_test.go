package sessions_test

import (
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
)

// A session must not expire under a connection that has it for long.
func TestUseIsNotedWhileConnected(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		store := &session.MemoryStore{MaxAge: 15 * time.Minute}
		s := open(t, v, server.Options{Sessions: store})
		c := s.client(client.Options{})
		made := login(t, c, ann)
		time.Sleep(24 * time.Hour) // virtual: the connection stays, nothing is said
		wantUser(t, c, ann)
		if _, err := store.Load(t.Context(), made.Key); err != nil {
			t.Errorf("the session of a connection expired: %v", err)
		}

		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // virtual: nobody has it any more
		_, err := store.Load(t.Context(), made.Key)
		wantErr(t, err, session.ErrNotFound)
	})
}
