package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/webwire-go/webwire/protocol"
)

// signalSteps are about signals both ways.
var signalSteps = []step{
	{name: "signals of the server", run: signalsFromServer},
	{name: "signals to the server", run: signalsToServer},
	{name: "signals with a name alone", run: signalsNameOnly},
	{name: "signals are kept in order", run: signalsInOrder},
}

var signalNames = []string{"", "s", "sig", "even", strings.Repeat("n", 254), strings.Repeat("n", 255)}

// signalMe has the server send a signal, and checks that it came before the reply.
func (p *peer) signalMe(name string, payload protocol.Payload) error {
	want := describe(name, payload)
	text, err := json.Marshal(want)
	if err != nil {
		return err
	}
	reply, err := p.Request(p.ctx, "signal-me", protocol.Payload{Encoding: protocol.UTF8, Data: text})
	if err != nil {
		return fmt.Errorf("signal-me %.60s: %w", text, err)
	}
	if len(reply.Data) > 0 || reply.Encoding != protocol.Binary {
		return fmt.Errorf("signal-me: reply of %d bytes in %v", len(reply.Data), reply.Encoding)
	}
	got, err := received(p, p.signals, "the signal")
	if err == nil && got != want {
		err = fmt.Errorf("signal %+v, want %+v", got, want)
	}
	return err
}

func signalsFromServer(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	for _, name := range signalNames {
		for _, payload := range samples() {
			if err := p.signalMe(name, payload); err != nil {
				return err
			}
		}
	}
	return nil
}

// lastSignals compares what the server got.
func (p *peer) lastSignals(want []described) error {
	text, err := p.ask("last-signals", "")
	if err != nil {
		return err
	}
	got := []described{}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		return fmt.Errorf("last-signals: %w", err)
	}
	if !slices.Equal(got, want) || len(want) == 0 && text != "[]" {
		return fmt.Errorf("last-signals: %.300s, want %d signals %+.300v", text, len(want), want)
	}
	return nil
}

func signalsToServer(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	if err := p.lastSignals(nil); err != nil {
		return err
	}
	var want []described
	for _, name := range signalNames {
		for _, payload := range samples() {
			if err := p.Signal(p.ctx, name, payload); err != nil {
				return err
			}
			want = append(want, describe(name, payload))
		}
	}
	other, err := r.peer()
	if err != nil {
		return err
	}
	return errors.Join(p.lastSignals(want), other.lastSignals(nil))
}

func signalsNameOnly(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	for _, e := range encodings {
		payload := protocol.Payload{Encoding: e}
		if r.Version >= protocol.V3_0 || r.Version == protocol.V2_0 && e != protocol.UTF16 {
			if err := p.signalMe("name", payload); err != nil {
				return err
			}
			if err := p.Signal(p.ctx, "name", payload); err != nil {
				return err
			}
			continue
		}
		if err := p.Signal(p.ctx, "name", payload); !errors.Is(err, protocol.ErrMalformed) {
			return fmt.Errorf("name without payload in %v: %v, want an error", e, err)
		}
		text, err := json.Marshal(describe("name", payload))
		if err != nil {
			return err
		}
		if _, err := p.ask("signal-me", string(text)); err == nil {
			return fmt.Errorf("the server sent a name without payload in %v", e)
		}
	}
	return p.expect("echo", "still there", "still there")
}

func signalsInOrder(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	var want []described
	for i := range 100 {
		payload := protocol.Text(fmt.Sprint("signal ", i))
		if err := p.Signal(p.ctx, "n", payload); err != nil {
			return err
		}
		want = append(want, describe("n", payload))
		if i%10 == 0 {
			if err := p.expect("echo", "between", "between"); err != nil {
				return err
			}
		}
	}
	return p.lastSignals(want)
}
