package main

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/webwiretest"
)

// Those who are signed in get all edits, in the same order, also after a connection that broke. What
// edits make of a list is tested in client/js/test/list.test.js.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := webwiretest.Serve(t, newServer("secret"))
		link := network.Link()
		ann := link.Client(client.Options{})
		bob, eve := network.Client(client.Options{}), network.Client(client.Options{})
		ask := func(c *client.Client, name string, in any, code string) {
			t.Helper()
			if _, err := client.Call[any](t.Context(), c, name, in); protocol.CodeOf(err) != code {
				t.Errorf("%s: %v, want %q", name, err, code)
			}
		}
		all := client.SubscribeOptions{Since: new(protocol.Position)}
		tea := edit{ID: "1", Item: "a", By: "eve", Set: json.RawMessage(`{"Text":"tea"}`)}
		milk := edit{ID: "2", Item: "b", Set: json.RawMessage(`{"Text":"milk","Done":true}`)}

		for _, wrong := range []login{{"eve", "x"}, {"", "secret"}} {
			ask(eve, "login", wrong, "WRONG")
		}
		ask(eve, "edit", tea, "SIGNED_OUT")
		if _, err := eve.Subscribe(t.Context(), "list", all); protocol.CodeOf(err) != "SIGNED_OUT" {
			t.Errorf("eve subscribes: %v", err)
		}
		ask(ann, "login", login{"ann", "secret"}, "")
		ask(bob, "login", login{"bob", "secret"}, "")
		ask(ann, "edit", tea, "")
		s, err := ann.Subscribe(t.Context(), "list", all)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		link.Offline()
		ask(bob, "edit", milk, "")
		time.Sleep(time.Minute)
		link.Online()
		tea.By, milk.By = "ann", "bob"
		want := []edit{tea, milk}
		for m, err := range s.Messages(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got, _ := json.Marshal(want[0])
			if !bytes.Equal(m.Payload.Data, got) {
				t.Errorf("ann gets %s, want %s", m.Payload.Text(), got)
			}
			if want = want[1:]; len(want) == 0 {
				break
			}
		}

		long := edit{ID: "3", Item: "c", Set: json.RawMessage(`{"Text":"` + string(bytes.Repeat([]byte("x"), 8<<10)) + `"}`)}
		if _, err := client.Call[any](context.Background(), bob, "edit", long); err == nil {
			t.Error("an edit of 8 KiB is accepted")
		}
	})
}
