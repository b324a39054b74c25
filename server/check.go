package server

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Check returns an error that joins one error for each option that makes no sense: a
// negative number, an option that another one leaves without effect, a time that lacks
// its unit. The zero Options are without fault. New logs the same errors and goes on; what
// it uses instead is the option's zero value, or nothing where the option has no effect.
// Call Check to fail instead.
func (o Options) Check() error { return errors.Join(o.faults()...) }

func (o Options) faults() (all []error) {
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			all = append(all, fmt.Errorf("server: "+format, args...))
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{
		{"MaxConns", o.MaxConns},
		{"MaxSessionConns", o.MaxSessionConns},
		{"Concurrency", o.Concurrency},
		{"MaxMessageSize", o.MaxMessageSize},
		{"OutboxSize", o.OutboxSize},
		{"InboxSize", o.InboxSize},
	} {
		fault(n.value < 0, "Options.%s is negative: %d", n.name, n.value)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"ReadTimeout", o.ReadTimeout},
		{"WriteTimeout", o.WriteTimeout},
		{"ResumeWindow", max(0, o.ResumeWindow)}, // negative: off
		{"DrainSpread", o.DrainSpread},
	} {
		fault(d.value < 0, "Options.%s is negative: %v", d.name, d.value)
		fault(lacksUnit(d.value), "Options.%s is %v, perhaps its unit is missing", d.name, d.value)
	}
	fault(o.Version != 0 && !slices.Contains(versions, o.Version), "Options.Version %v does not exist", o.Version)

	h := &o.Hooks
	fault(o.Handler != nil && h.OnRequest != nil && h.OnSignal != nil,
		"Options.Handler has no effect, because both Hooks.OnRequest and Hooks.OnSignal are set")
	fault(o.ConnContext != nil && o.Upgrader == nil, "Options.ConnContext has no effect without an Upgrader")
	for _, n := range []struct {
		name string
		set  bool
	}{
		{"Sessions", o.Sessions != nil},
		{"Hooks.OnSessionKeyGeneration", h.OnSessionKeyGeneration != nil},
		{"Hooks.OnSessionCreated", h.OnSessionCreated != nil},
		{"Hooks.OnSessionUpdated", h.OnSessionUpdated != nil},
		{"Hooks.OnSessionLookup", h.OnSessionLookup != nil},
		{"Hooks.OnSessionClosed", h.OnSessionClosed != nil},
	} {
		fault(n.set && o.DisableSessions, "Options.%s has no effect with DisableSessions", n.name)
	}
	fault(o.SessionPolicy > ReplaceOldest, "Options.SessionPolicy %d does not exist", o.SessionPolicy)
	fault(o.SessionPolicy == ReplaceOldest && o.MaxSessionConns <= 0, "Options.SessionPolicy ReplaceOldest has no effect without MaxSessionConns")

	if upgrader, ok := o.Upgrader.(interface{ Check() error }); ok {
		if err := upgrader.Check(); err != nil {
			all = append(all, fmt.Errorf("server: Options.Upgrader: %w", err))
		}
	}
	return all
}

// lacksUnit reports whether an option was probably given as a number of seconds or so.
func lacksUnit(d time.Duration) bool { return d > 0 && d < time.Millisecond }
