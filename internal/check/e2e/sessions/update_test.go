package sessions_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
)

// A change of a session reaches every client that has it, as an update, before the reply;
// clients that restore the session later, and other processes, get the new state.
func TestUpdateReachesAllClients(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		var all events
		store := &session.MemoryStore{}
		s := open(t, v, server.Options{Sessions: store, Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				if r.Name == "birthday" {
					_, err := r.Conn.UpdateSession(ctx, json.RawMessage(r.Payload.Data))
					return protocol.Payload{}, err
				}
				return handle(ctx, r)
			},
		}})
		watch := func(name string) client.Options {
			h := all.watch(name)
			h.OnSessionUpdated = func(_ context.Context, s session.Session) { all.add(name + " updated " + string(s.Info)) }
			return client.Options{Hooks: h}
		}
		a, b := s.client(watch("a")), s.client(watch("b"))
		made := login(t, a, ann)
		if err := b.RestoreSession(t.Context(), made.Key); err != nil {
			t.Fatal(err)
		}
		all.want(t, "a created")

		older := user{Name: "ann", Age: 43}
		if _, err := client.Call[struct{}](t.Context(), b, "birthday", older); err != nil {
			t.Fatal(err)
		}
		if got, _ := b.Session(); got.Key != made.Key || !got.Created.Equal(made.Created) {
			t.Errorf("%v became %v", made, got)
		}
		wantUser(t, b, older)
		got := all.take()
		if len(got) != 2 || got[0] == got[1] {
			t.Errorf("events are %q", got)
		}
		for _, e := range got {
			if e[1:] != ` updated {"name":"ann","age":43}` && e[1:] != ` updated {"Name":"ann","Age":43}` {
				t.Errorf("event %q", e)
			}
		}
		wantUser(t, a, older)

		s.dropAll() // what they restore is the new state
		wantUser(t, a, older)
		wantUser(t, b, older)
		all.want(t)
	})
}
