package protocol_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/protocol"
)

// What each code means at the other end, as section 11.5 says.
func TestFailureCodes(t *testing.T) {
	for _, test := range []struct {
		code     protocol.FailureCode
		err      error
		executed protocol.Executed
		retry    bool
	}{
		{protocol.FailureShutdown, protocol.ErrShutdown, protocol.ExecutedNo, true},
		{protocol.FailureInternal, protocol.ErrInternal, protocol.ExecutedYes, false},
		{protocol.FailureSessionNotFound, protocol.ErrSessionNotFound, protocol.ExecutedNo, false},
		{protocol.FailureSessionFull, protocol.ErrSessionFull, protocol.ExecutedNo, false},
		{protocol.FailureSessionsDisabled, protocol.ErrSessionsDisabled, protocol.ExecutedNo, false},
		{protocol.FailureCancelled, context.Canceled, protocol.ExecutedMaybe, false},
		{protocol.FailureDeadline, context.DeadlineExceeded, protocol.ExecutedMaybe, false},
		{protocol.FailureTooMany, protocol.ErrTooMany, protocol.ExecutedNo, true},
		{protocol.FailureUnsupported, protocol.ErrUnsupported, protocol.ExecutedNo, false},
		{protocol.FailureOutcomeUnknown, protocol.ErrOutcomeUnknown, protocol.ExecutedMaybe, false},
		{protocol.FailureReplyLost, protocol.ErrReplyLost, protocol.ExecutedYes, false},
		{protocol.FailureNoHandler, protocol.ErrNoHandler, protocol.ExecutedNo, false},
		{protocol.FailureStreamLost, protocol.ErrStreamLost, protocol.ExecutedMaybe, false},
		{protocol.FailureUnavailable, protocol.ErrUnavailable, protocol.ExecutedNo, true},
	} {
		failure := test.code.Failure()
		if failure.Executed != test.executed || test.code.Retryable() != test.retry || !errors.Is(test.code.Err(), test.err) {
			t.Errorf("%v: %+v, retryable %v, %v", test.code, failure, test.code.Retryable(), test.code.Err())
		}
		err := answer(t, protocol.V3_0, failure)
		var peer *protocol.PeerError
		var got *protocol.FailureError
		if !errors.Is(err, test.err) || !errors.As(err, &peer) || !errors.As(err, &got) || *got != *failure {
			t.Errorf("%v comes back as %v (%T)", failure, err, err)
		}
		if text := err.Error(); strings.Count(text, "protocol: ") != 1 || !strings.HasPrefix(text, "protocol: ") {
			t.Errorf("text is %q", text)
		}
	}
	unknown := protocol.FailureCode(99).Failure()
	if unknown.Executed != protocol.ExecutedMaybe || unknown.Unwrap() != nil || unknown.Error() != "protocol: failure 99" || protocol.FailureCode(99).Retryable() {
		t.Errorf("%+v: %v", unknown, unknown)
	}
	if zero := protocol.FailureCode(0); zero.Err() != nil || zero.Retryable() {
		t.Errorf("code 0 is %v", zero.Err())
	}
	if code := protocol.CodeOf(answer(t, protocol.V3_0, protocol.FailureNoHandler.Failure())); code != protocol.CodeNotFound {
		t.Errorf("code of a missing handler is %q, which earlier versions answer as %q", code, protocol.CodeNotFound)
	}
}

// answer returns err as the end reads it that is answered with it.
func answer(t *testing.T, v protocol.Version, err error) error {
	t.Helper()
	b, failed := v.Append(nil, v.Failure(protocol.NewID(7), err))
	if failed != nil {
		t.Fatalf("%v: %v: %v", v, err, failed)
	}
	m, failed := v.Parse(b)
	if failed != nil || m.ID != protocol.NewID(7) || !m.Kind.IsReply() {
		t.Fatalf("%v: %v: %+v, %v", v, err, m, failed)
	}
	if strings.Contains(string(b), "secret") {
		t.Errorf("%v: %v is sent as %q", v, err, b)
	}
	return m.Err()
}

// What a handler returns, and what the other end makes of it.
func TestVersionFailure(t *testing.T) {
	app := &protocol.Error{Code: "NO_ROOM", Message: "no kitchen"}
	unknown := &protocol.FailureError{Code: 99, Executed: protocol.ExecutedMaybe, Text: "what"}
	for _, test := range []struct {
		name        string
		err         error
		want, old   error
		wantFailure protocol.FailureCode
	}{
		{"application", fmt.Errorf("secret: %w", app), app, app, 0},
		{"application before ours", fmt.Errorf("%w: %w", protocol.ErrShutdown, app), app, app, 0},
		{"own not found", &protocol.Error{Code: protocol.CodeNotFound}, protocol.ErrNoHandler, protocol.ErrNoHandler, 0},
		{"ours", fmt.Errorf("secret: %w", protocol.ErrSessionFull), protocol.ErrSessionFull, protocol.ErrSessionFull, protocol.FailureSessionFull},
		{"of 3.0", protocol.ErrTooMany, protocol.ErrTooMany, protocol.ErrInternal, protocol.FailureTooMany},
		{"failure", fmt.Errorf("secret: %w", protocol.FailureDeadline.Failure()), context.DeadlineExceeded, protocol.ErrInternal, protocol.FailureDeadline},
		{"failure of all versions", protocol.FailureShutdown.Failure(), protocol.ErrShutdown, protocol.ErrShutdown, protocol.FailureShutdown},
		{"no handler", protocol.FailureNoHandler.Failure(), protocol.ErrNoHandler, protocol.ErrNoHandler, protocol.FailureNoHandler},
		{"unknown failure", unknown, unknown, protocol.ErrInternal, 99},
		{"no failure", &protocol.FailureError{Text: "secret"}, protocol.ErrInternal, protocol.ErrInternal, protocol.FailureInternal},
		{"failure executed how", &protocol.FailureError{Code: 1, Executed: 3, Text: "secret"}, nil, nil, 0},
		{"context of something else", context.DeadlineExceeded, protocol.ErrInternal, protocol.ErrInternal, protocol.FailureInternal},
		{"cancelled by something else", context.Canceled, protocol.ErrInternal, protocol.ErrInternal, protocol.FailureInternal},
		{"protocol error", protocol.ErrProtocol, protocol.ErrInternal, nil, protocol.FailureInternal},
		{"peer", &protocol.PeerError{Err: &protocol.FailureError{Code: 1, Text: "secret"}}, protocol.ErrInternal, protocol.ErrInternal, protocol.FailureInternal},
		{"anything", errors.New("secret"), protocol.ErrInternal, protocol.ErrInternal, protocol.FailureInternal},
		{"nil failure", (*protocol.FailureError)(nil), protocol.ErrInternal, protocol.ErrInternal, protocol.FailureInternal},
		{"nil", nil, protocol.ErrInternal, protocol.ErrInternal, protocol.FailureInternal},
	} {
		got := answer(t, protocol.V3_0, test.err)
		var failure *protocol.FailureError
		switch want := test.want.(type) {
		case nil:
		case *protocol.FailureError:
			if !errors.As(got, &failure) || *failure != *want {
				t.Errorf("%s: %v, want %v", test.name, got, want)
			}
		default:
			if !errors.Is(got, want) {
				t.Errorf("%s: %v, want %v", test.name, got, want)
			}
		}
		if errors.As(got, &failure); test.wantFailure != 0 && (failure == nil || failure.Code != test.wantFailure) {
			t.Errorf("%s: %v, want code %d", test.name, got, test.wantFailure)
		}
		for _, v := range protocol.Versions() {
			if test.old == nil || v >= protocol.V3_0 {
				continue
			}
			if got := answer(t, v, test.err); !errors.Is(got, test.old) {
				t.Errorf("%s: %v: %v, want %v", test.name, v, got, test.old)
			}
		}
	}
}

func TestFailureTextIsValid(t *testing.T) {
	m := (&protocol.FailureError{Code: 1, Text: "a\xffb"}).Message(protocol.ID{})
	if f, err := m.Failure(); err != nil || f.Text != "a\uFFFDb" {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestExecutedString(t *testing.T) {
	if got := fmt.Sprint(protocol.ExecutedNo, protocol.ExecutedYes, protocol.ExecutedMaybe, protocol.Executed(3)); got != "no yes maybe executed 3" {
		t.Error(got)
	}
}
