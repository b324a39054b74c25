package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
)

// modernSteps are about what 3.0 adds, as an application sees it.
var modernSteps = []step{
	{name: "metadata and trace", run: with3(metaArrives)},
	{name: "cancel of a running request", run: with3(cancelRunning)},
	{name: "deadline", run: with3(deadlinePasses)},
	{name: "streamed replies", run: with3(streams)},
	{name: "stream that is left early", run: with3(streamLeft)},
	{name: "requests of the server", run: with3(serverAsks)},
	{name: "what older versions cannot do", run: before3},
}

// with3 makes a step one of 3.0.
func with3(try func(r *run) error) func(r *run) error {
	return func(r *run) error {
		if r.Version < protocol.V3_0 {
			return skip("it is new in 3.0")
		}
		return try(r)
	}
}

// clientHandlers are what peers answer to the server.
func clientHandlers() client.Handler {
	var mux client.Mux
	mux.Request("echo", func(_ context.Context, r *client.Request) (protocol.Payload, error) { return r.Payload, nil })
	mux.Request("back", func(ctx context.Context, r *client.Request) (protocol.Payload, error) {
		return r.Client.Request(ctx, "echo", r.Payload)
	})
	mux.Request("fails", func(context.Context, *client.Request) (protocol.Payload, error) {
		return protocol.Payload{}, errOrdinary
	})
	mux.Request("no", func(context.Context, *client.Request) (protocol.Payload, error) {
		return protocol.Payload{}, &protocol.Error{Code: "NO"}
	})
	return &mux
}

func metaArrives(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	head := protocol.Head{}.AppendMetadata("tenant", "7").AppendMetadata("empty", "")
	reply, err := p.Request(client.WithMeta(p.ctx, head), "meta", protocol.Text("x"))
	if err != nil {
		return err
	}
	var got metaAnswer
	if err := json.Unmarshal(reply.Data, &got); err != nil {
		return err
	}
	if want := map[string]string{"tenant": "7", "empty": ""}; !maps.Equal(got.Metadata, want) {
		return fmt.Errorf("metadata %q, want %q", got.Metadata, want)
	}
	return nil
}

// awaitCauses waits until the server knows why a number of requests ended.
func (p *peer) awaitCauses(want ...string) error {
	for {
		text, err := p.ask("causes", "")
		if err != nil {
			return err
		}
		if got := strings.Fields(text); len(got) >= len(want) {
			if !slices.Equal(got, want) {
				return fmt.Errorf("handlers ended by %q, want %q", got, want)
			}
			return nil
		}
		if err := pause(p.ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("the handler goes on: %w", err)
		}
	}
}

func cancelRunning(r *run) error {
	// What is cancelled before it was sent is never handled.
	return r.patiently(func(r *run, unit time.Duration) error {
		p, err := r.peer()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(p.ctx)
		defer time.AfterFunc(unit/10, cancel).Stop()
		if _, err := p.Request(ctx, "wait", protocol.Text("x")); !errors.Is(err, context.Canceled) {
			return fmt.Errorf("wait: %v, want that it is cancelled", err)
		}
		return p.awaitCauses("cancel")
	})
}

func deadlinePasses(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(p.ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := p.Request(ctx, "wait", protocol.Text("x")); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("wait: %v, want that its deadline passed", err)
	}
	return p.expect("echo", "still there", "still there")
}

// collect returns the number of items of a streamed reply, and its end.
func (p *peer) collect(text string) (n int, err error) {
	for item, err := range p.Stream(p.ctx, "items", protocol.Text(text)) {
		if err != nil {
			return n, err
		}
		if item.Encoding != protocol.UTF8 || strings.TrimLeft(item.Text(), "0") != strings.TrimLeft(fmt.Sprint(n), "0") {
			return n, fmt.Errorf("item %d is %.100q", n, item.Text())
		}
		n++
	}
	return n, nil
}

func streams(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	for _, test := range []struct {
		text string
		want int
		code string
	}{
		{"0 1", 0, ""}, {"1 1", 1, ""}, {"3000 100", 3000, ""}, {"30 8000", 30, ""}, {"5 10 CODE", 5, "CODE"}, {"0 1 CODE", 0, "CODE"},
	} {
		n, err := p.collect(test.text)
		if n != test.want || (err == nil) != (test.code == "") || test.code != "" && protocol.CodeOf(err) != test.code {
			return fmt.Errorf("items %s: %d items, then %v", test.text, n, err)
		}
	}
	return p.refused("items", "1 1", protocol.ErrUnsupported) // a request that takes no items
}

func streamLeft(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	n := 0
	for _, err := range p.Stream(p.ctx, "items", protocol.Text("100000000 100")) {
		if err != nil {
			return err
		}
		if n++; n == 100 {
			break
		}
	}
	return p.expect("echo", "still there", "still there")
}

// askFor has the server send a request to the client.
func (p *peer) askFor(name string, payload protocol.Payload) (protocol.Payload, error) {
	arg, err := protocol.JSON(describe(name, payload))
	if err != nil {
		return arg, err
	}
	return p.Request(p.ctx, "ask", arg)
}

func serverAsks(r *run) error {
	addr, err := r.spawn(besides)
	if err != nil {
		return err
	}
	p, err := r.peerAt(addr)
	if err != nil {
		return err
	}
	for _, name := range []string{"echo", "back"} {
		for _, payload := range samples() {
			got, err := p.askFor(name, payload)
			if err != nil || got.Encoding != payload.Encoding || string(got.Data) != string(payload.Data) {
				return fmt.Errorf("ask %s: %q in %v, %w", name, got.Data, got.Encoding, err)
			}
		}
	}
	for name, code := range map[string]string{"unknown": codeAskNoHandler, "fails": codeAskInternal, "no": "NO"} {
		if _, err := p.askFor(name, protocol.Text("x")); protocol.CodeOf(err) != code {
			return fmt.Errorf("ask %s: %w, want %s", name, err, code)
		}
	}
	return nil
}

// before3 tries what only 3.0 can.
func before3(r *run) error {
	if r.Version >= protocol.V3_0 {
		return skip("3.0 can")
	}
	p, err := r.peer()
	if err != nil {
		return err
	}
	if _, err := p.collect("1 1"); !errors.Is(err, protocol.ErrUnsupported) || client.MaybeExecuted(err) {
		return fmt.Errorf("stream: %v, want ErrUnsupported", err)
	}
	if _, err := p.askFor("echo", protocol.Text("x")); protocol.CodeOf(err) != codeAskUnsupported && protocol.CodeOf(err) != codeUnknown {
		return fmt.Errorf("ask: %w, want %s", err, codeAskUnsupported)
	}
	return p.expect("echo", "still there", "still there")
}
