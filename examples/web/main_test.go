package main

import (
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/webwiretest"
)

func TestCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := webwiretest.Serve(t, newServer())
		var heard webwiretest.Signals
		ann, bob := network.Client(client.Options{}), network.Client(client.Options{Handler: &heard})
		if n, err := client.Call[int](t.Context(), bob, "count", struct{}{}); n != 0 || err != nil {
			t.Errorf("it begins at %d, %v", n, err)
		}
		if n, err := client.Call[int](t.Context(), ann, "add", 2); n != 2 || err != nil {
			t.Errorf("ann sees %d, %v", n, err)
		}
		s, err := heard.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Payload.Text(); s.Name != "count" || got != "2" {
			t.Errorf("bob hears %s %s", s.Name, got)
		}
		if _, err := client.Call[int](t.Context(), ann, "add", "x"); err == nil {
			t.Error("text was added")
		}
	})
}
