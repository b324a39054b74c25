package main

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/webwiretest"
)

// screen is what a device prints.
type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

// want fails the test unless this was printed since the last call.
func (s *screen) want(t *testing.T, want string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.buf.String(); got != want {
		t.Errorf("the device prints %q, want %q", got, want)
	}
	s.buf.Reset()
}

func TestFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := webwiretest.Serve(t, newServer())
		operator, pump := network.Client(client.Options{}), network.Link()
		var running sync.WaitGroup
		defer running.Wait()
		tell := func(what, device, text, want string) {
			t.Helper()
			got, err := client.Call[string](t.Context(), operator, what, message{device, text})
			if code := protocol.CodeOf(err); code != "" {
				got, err = code, nil
			}
			if got != want || err != nil {
				t.Errorf("%s %s: %q, %v, want %q", what, device, got, err, want)
			}
		}
		out := new(screen)
		begin := func() (end context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			running.Go(func() {
				if err := (&device{"pump", out}).run(ctx, pump, nil); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(time.Second) // in virtual time
			return cancel
		}

		tell("online", "", "", "")
		tell("order", "pump", "spin", "AWAY")
		tell("note", "pump", "oil me", "kept for pump")
		end := begin()
		out.want(t, "pump: note: oil me\n")
		tell("online", "", "", "pump")
		tell("order", "pump", "spin", "pump has done: spin")
		tell("note", "pump", "well done", "kept for pump")
		out.want(t, "pump: order: spin\npump: note: well done\n")
		pump.Offline()
		tell("note", "pump", "still there?", "kept for pump")
		time.Sleep(time.Minute) // in virtual time
		pump.Online()
		time.Sleep(time.Minute)
		out.want(t, "pump: note: still there?\n")
		end()
		time.Sleep(time.Second) // in virtual time
		tell("online", "", "", "")
		tell("order", "pump", "spin", "AWAY")
		for _, args := range [][]string{nil, {"nonsense"}, {"device"}, {"order", "pump"}} {
			if err := run(t.Context(), args, out); err == nil {
				t.Errorf("%q is accepted", args)
			}
		}
	})
}
