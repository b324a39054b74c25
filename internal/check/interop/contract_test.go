package interop_test

import (
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/internal/check/interop"
	"github.com/webwire-go/webwire/protocol"
)

// Our server keeps the contract with our client, in every version and over every
// transport.

// Most steps wait for something: the runs do so together.
func TestContractOverSockets(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for _, v := range protocol.Versions() {
		for _, n := range []interop.Network{
			interop.WebSocket{},
			interop.WebSocket{Silent: true}, // the endpoint's own version is spoken
			interop.Stream{},
		} {
			all.Go(func() { contract(t, interop.Options{Network: n, Version: v}) })
		}
	}
	all.Wait()
}

func TestContractOverMemory(t *testing.T) {
	for _, v := range protocol.Versions() {
		t.Run(v.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) { contract(t, interop.Options{Network: new(interop.Memory), Version: v}) })
		})
	}
}

// bubble runs a test in virtual time, on one thread at a time: when two fire timers of one
// bubble at the same moment, they share what the race detector keeps about the bubble's
// timers, and it crashes (seen with Go 1.26).
func bubble(t *testing.T, test func(t *testing.T)) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, test)
}

// As most published servers, with one request of a connection at a time.
func TestContractOneByOne(t *testing.T) {
	for _, v := range protocol.Versions() {
		t.Run(v.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				contract(t, interop.Options{Network: new(interop.Memory), Version: v, Concurrency: 1})
			})
		})
	}
}

func contract(t *testing.T, opts interop.Options) {
	n, v := opts.Network, opts.Version
	opts.Logger = slog.New(slog.DiscardHandler)
	s, err := interop.Start(opts)
	if err != nil {
		t.Error(err)
		return
	}
	defer s.Close()
	passed, _ := interop.RunContract(t.Context(), interop.Target{Network: n, Addr: s.Addr(), Version: v}, func(r interop.Result) {
		switch {
		case r.Skipped != "":
			t.Logf("%T %v: skipped: %s: %s", n, v, r.Step, r.Skipped)
		case r.Err != nil:
			t.Errorf("%+v %v: %s: %v", n, v, r.Step, r.Err)
		}
	})
	if passed < 30 {
		t.Errorf("%T %v: only %d steps passed", n, v, passed)
	}
}
