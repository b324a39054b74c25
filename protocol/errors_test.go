package protocol_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/protocol"
)

// Every error that a server answers reaches the client as the same error, in
// every version that has a message for it.
func TestErrorReplies(t *testing.T) {
	app := &protocol.Error{Code: "NO_ROOM", Message: `Грусть 😀 "q" \ <&>`}
	long := &protocol.Error{Code: strings.Repeat("C", 255)}
	for _, test := range []struct {
		name      string
		err, want error
	}{
		{"application", app, app},
		{"no message", &protocol.Error{Code: "C"}, &protocol.Error{Code: "C"}},
		{"longest code", long, long},
		{"wrapped", fmt.Errorf("handler: %w", app), app},
		{"joined", errors.Join(errors.New("secret"), app), app},
		{"application before ours", fmt.Errorf("%w: %w", protocol.ErrShutdown, app), app},
		{"shutdown", protocol.ErrShutdown, protocol.ErrShutdown},
		{"wrapped ours", fmt.Errorf("x: %w", protocol.ErrSessionFull), protocol.ErrSessionFull},
		{"internal", protocol.ErrInternal, protocol.ErrInternal},
		{"not found", protocol.ErrSessionNotFound, protocol.ErrSessionNotFound},
		{"disabled", protocol.ErrSessionsDisabled, protocol.ErrSessionsDisabled},
		{"peer's shutdown", peerError(protocol.ReplyShutdown), protocol.ErrInternal},
		{"peer's missing session", peerError(protocol.ReplySessionNotFound), protocol.ErrInternal},
		{"wrapped peer's shutdown", fmt.Errorf("x: %w", peerError(protocol.ReplyShutdown)), protocol.ErrInternal},
		{"peer's application error", &protocol.PeerError{Err: &protocol.Error{Code: "C", Message: "secret"}}, protocol.ErrInternal},
		{"joined with a peer's error", errors.Join(app, peerError(protocol.ReplyShutdown)), protocol.ErrInternal},
		{"anything else", errors.New("secret"), protocol.ErrInternal},
		{"context", context.Canceled, protocol.ErrInternal},
		{"nil", nil, protocol.ErrInternal},
		{"nil *Error", (*protocol.Error)(nil), protocol.ErrInternal},
		{"wrapped nil *Error", fmt.Errorf("x: %w", (*protocol.Error)(nil)), protocol.ErrInternal},
		{"no code", &protocol.Error{Message: "secret"}, protocol.ErrInternal},
		{"long code", &protocol.Error{Code: strings.Repeat("C", 256)}, protocol.ErrInternal},
		{"code of other bytes", &protocol.Error{Code: "É"}, protocol.ErrInternal},
	} {
		for _, v := range protocol.Versions() {
			b, err := v.Append(nil, v.Failure(protocol.NewID(7), test.err))
			if err != nil {
				t.Errorf("%s: %v: %v", test.name, v, err)
				continue
			}
			m, err := v.Parse(b)
			if err != nil || m.ID.Uint64() != 7 {
				t.Errorf("%s: %v: %x: %+v, %v", test.name, v, b, m, err)
			}
			if got := m.Err(); got.Error() != test.want.Error() || !errors.Is(got, test.want) {
				t.Errorf("%s: %v: %v, want %v", test.name, v, got, test.want)
			}
			if strings.Contains(string(b), "secret") {
				t.Errorf("%s: %v: %q", test.name, v, b)
			}
		}
	}
}

// peerError returns the error that a reply of kind k stands for.
func peerError(k protocol.Kind) error { return protocol.Message{Kind: k}.Err() }

// Every error of a reply is a PeerError, through which its cause is found.
func TestPeerError(t *testing.T) {
	for _, err := range []error{
		protocol.ErrInternal, protocol.ErrShutdown, protocol.ErrSessionNotFound, protocol.ErrSessionFull,
		protocol.ErrSessionsDisabled, protocol.ErrProtocol, &protocol.Error{Code: "C", Message: "m"},
	} {
		got := protocol.V1_5.Failure(protocol.ID{}, err).Err()
		if peer, ok := got.(*protocol.PeerError); !ok || !errors.Is(peer.Err, err) || !errors.Is(got, err) || got.Error() != err.Error() {
			t.Errorf("%v: got %#v", err, got)
		}
		if app := (*protocol.Error)(nil); errors.As(err, &app) != errors.As(got, &app) {
			t.Errorf("%v: errors.As finds %v", err, app)
		}
	}
	for _, m := range []protocol.Message{{Kind: protocol.Signal}, {Kind: protocol.ReplyError, Payload: protocol.Text("no json")}} {
		if peer := (*protocol.PeerError)(nil); errors.As(m.Err(), &peer) {
			t.Errorf("%v: what the peer did not answer is %#v", m.Kind, peer)
		}
	}
}

func TestCodeOf(t *testing.T) {
	app := &protocol.Error{Code: protocol.CodeNotFound}
	for _, test := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{(*protocol.Error)(nil), ""},
		{errors.New("NOT_FOUND"), ""},
		{protocol.ErrSessionNotFound, ""},
		{app, "NOT_FOUND"},
		{fmt.Errorf("x: %w", app), "NOT_FOUND"},
		{&protocol.PeerError{Err: app}, "NOT_FOUND"},
		{errors.Join(protocol.ErrShutdown, app), "NOT_FOUND"},
	} {
		if got := protocol.CodeOf(test.err); got != test.want {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
	}
}

// 1.4 and 1.5 tell clients of malformed requests.
func TestProtocolErrorReply(t *testing.T) {
	m := protocol.V1_5.Failure(protocol.ID{}, protocol.ErrProtocol)
	if m.Kind != protocol.ReplyProtocolError || !errors.Is(m.Err(), protocol.ErrProtocol) {
		t.Errorf("%+v", m)
	}
}

func TestFailureMakesMessageValid(t *testing.T) {
	m := protocol.V1_5.Failure(protocol.ID{}, &protocol.Error{Code: "C", Message: "a\xffb"})
	if got := m.Payload.Text(); got != "a\uFFFDb" {
		t.Errorf("%q", got)
	}
}

// The JSON of 1.2 byte for byte.
func TestErrorJSON(t *testing.T) {
	for want, e := range map[string]*protocol.Error{
		`{"c":"C"}`:                     {Code: "C"},
		`{"c":"C","m":"m"}`:             {Code: "C", Message: "m"},
		`{"c":"\u003c\"","m":"\u0026"}`: {Code: `<"`, Message: "&"},
	} {
		b, err := protocol.V1_2.Append(nil, protocol.V1_2.Failure(protocol.ID{}, e))
		if err != nil || string(b[9:]) != want {
			t.Errorf("%s, %v, want %s", b[9:], err, want)
		}
	}
}

func TestErrOfForeignErrorReplies(t *testing.T) {
	for payload, want := range map[string]string{
		`{"c":""}`:             "", // what the published 1.2 server makes of a nil error
		`{"c":"C","x":1}`:      "C",
		`{}`:                   "",
		`{"c":"C","m":"text"}`: "C: text",
	} {
		m := protocol.Message{Kind: protocol.ReplyError, Payload: protocol.Text(payload)}
		var e *protocol.Error
		if err := m.Err(); !errors.As(err, &e) || e.Error() != want {
			t.Errorf("%s: %v", payload, err)
		}
	}
	m := protocol.Message{Kind: protocol.ReplyError, Payload: protocol.Text("no json")}
	if err := m.Err(); !errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("%v", err)
	}
}

func TestErrorIs(t *testing.T) {
	var none *protocol.Error
	a, a2, b := &protocol.Error{Code: "A"}, &protocol.Error{Code: "A", Message: "m"}, &protocol.Error{Code: "B"}
	switch {
	case !errors.Is(a, a2), !errors.Is(fmt.Errorf("x: %w", a2), a):
		t.Error("the code decides")
	case errors.Is(a, b), errors.Is(a, none), errors.Is(none, a), errors.Is(a, protocol.ErrInternal):
		t.Error("other errors are other errors")
	case none.Error() != "<nil>":
		t.Error(none.Error())
	}
}

func TestErrOfReplies(t *testing.T) {
	if err := (protocol.Message{Kind: protocol.Reply}).Err(); err != nil {
		t.Error(err)
	}
	if err := (protocol.Message{Kind: protocol.Signal}).Err(); !errors.Is(err, protocol.ErrMalformed) {
		t.Error(err)
	}
}
