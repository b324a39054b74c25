package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/webwiretest"
)

// text returns an edit that sets the text of an item.
func text(item, text string) edit { return edit{ID: item + text, Item: item, Text: &text} }

func TestMerge(t *testing.T) {
	done := true
	for _, c := range []struct {
		name  string
		edits []edit
		want  []string
	}{
		{"different items", []edit{text("a", "tea"), text("b", "milk")}, []string{"tea", "milk"}},
		{"different fields", []edit{text("a", "tea"), {ID: "1", Item: "a", Done: &done}, text("a", "green tea")}, []string{"green tea, done"}},
		{"the same field", []edit{text("a", "tea"), text("a", "green tea"), text("a", "black tea")}, []string{"black tea"}},
		{"an edit that comes again", []edit{text("a", "tea"), text("a", "green tea"), text("a", "tea")}, []string{"green tea"}},
		{"removed", []edit{text("a", "tea"), text("b", "milk"), {ID: "1", Item: "a", Gone: true}}, []string{"milk"}},
		{"done after it was removed", []edit{text("a", "tea"), {ID: "1", Item: "a", Gone: true}, {ID: "2", Item: "a", Done: &done}}, nil},
		{"a text after it was removed", []edit{text("a", "tea"), {ID: "1", Item: "a", Gone: true}, text("a", "green tea")}, []string{"green tea"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l list
			for _, e := range c.edits {
				if err := l.apply(e, "ann", func(item) error { return nil }); err != nil {
					t.Error(err)
				}
			}
			var got []string
			for _, it := range l.state().Items {
				if it.Done {
					it.Text += ", done"
				}
				got = append(got, it.Text)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("the list is %q, want %q", got, c.want)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	var l list
	none := func(item) error { return nil }
	for i := range maxItems {
		if err := l.apply(text(fmt.Sprint(i), "x"), "ann", none); err != nil {
			t.Fatal(err)
		}
	}
	long := string(bytes.Repeat([]byte("x"), maxText+1))
	for _, e := range []edit{text("one more", "x"), {ID: "1", Item: "1", Text: &long}, {Item: "1", Gone: true}, {ID: "1"}} {
		if err := l.apply(e, "ann", none); !errors.Is(err, errEdit) {
			t.Errorf("%+v: %v", e, err)
		}
	}
}

// What one user does, those who are signed in are told, also after a connection that broke.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := webwiretest.Serve(t, newServer(new(list), "secret", nil))
		var annHeard, eveHeard webwiretest.Signals
		link := network.Link()
		ann := link.Client(client.Options{Handler: &annHeard})
		bob, eve := network.Client(client.Options{}), network.Client(client.Options{Handler: &eveHeard})
		ask := func(c *client.Client, name string, in any, want error) {
			t.Helper()
			if _, err := client.Call[any](t.Context(), c, name, in); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
		type login struct{ Name, Password string }
		for _, wrong := range []login{{"eve", "x"}, {"", "secret"}, {" ", "secret"}} {
			ask(eve, "login", wrong, errWrong)
		}
		ask(eve, "list", nil, errSignedOut)
		ask(eve, "edit", text("a", "tea"), errSignedOut)
		ask(ann, "login", login{"ann", "secret"}, nil)
		ask(bob, "login", login{" bob ", "secret"}, nil)

		link.Offline()
		ask(bob, "edit", text("a", "tea"), nil)
		time.Sleep(time.Minute)
		link.Online()
		s, err := annHeard.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var it item
		if err := s.Payload.DecodeJSON(&it); err != nil || it != (item{ID: "a", Text: "tea", By: "bob", Rev: 1}) {
			t.Errorf("ann is told %+v, %v", it, err)
		}
		if got, err := client.Call[state](t.Context(), ann, "list", struct{}{}); err != nil || got.Rev != 1 || !slices.Equal(got.Items, []item{it}) {
			t.Errorf("the list is %+v, %v", got, err)
		}
		if told := eveHeard.Take(); len(told) != 0 {
			t.Errorf("eve, who is not signed in, is told %d edits", len(told))
		}
	})
}

func TestRun(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var out bytes.Buffer
	if err := run(ctx, []string{"-addr", "127.0.0.1:0"}, &out); err != nil || !bytes.HasPrefix(out.Bytes(), []byte("listening at http://")) {
		t.Errorf("%q, %v", out.Bytes(), err)
	}
	if err := run(ctx, []string{"-nonsense"}, &out); err == nil {
		t.Error("-nonsense is accepted")
	}
}
