package protocol

import (
	"context"
	"errors"
	"strconv"
	"strings"
)

// What a peer of 3.0 may answer instead of a reply, besides the errors of all versions.
var (
	ErrTooMany        = errors.New("protocol: peer handles as many requests as it takes")
	ErrUnsupported    = errors.New("protocol: peer does not support what the request requires")
	ErrOutcomeUnknown = errors.New("protocol: outcome is unknown, the server that had the request is gone")
	ErrReplyLost      = errors.New("protocol: request was executed, its reply is lost")
	ErrStreamLost     = errors.New("protocol: items of the streamed reply are lost")
	ErrUnavailable    = errors.New("protocol: server cannot reach what it needs to execute the request")

	// ErrNoHandler is an *Error with the code CodeNotFound, as in earlier versions. A handler
	// that returns it is answered with an error reply; FailureNoHandler says that there was none.
	ErrNoHandler error = &Error{Code: CodeNotFound, Message: "no handler for a request of this name"}
)

// FailureCode says why a request of 3.0 has no reply.
type FailureCode uint8

const (
	FailureShutdown         FailureCode = 1
	FailureInternal         FailureCode = 2
	FailureSessionNotFound  FailureCode = 3
	FailureSessionFull      FailureCode = 4
	FailureSessionsDisabled FailureCode = 5
	FailureCancelled        FailureCode = 6
	FailureDeadline         FailureCode = 7
	FailureTooMany          FailureCode = 8
	FailureUnsupported      FailureCode = 9
	FailureOutcomeUnknown   FailureCode = 10
	FailureReplyLost        FailureCode = 11
	FailureNoHandler        FailureCode = 12
	FailureStreamLost       FailureCode = 13
	FailureUnavailable      FailureCode = 14
)

// Executed says whether a request that failed was executed: whether its handler began.
type Executed uint8

const (
	ExecutedNo    Executed = 0
	ExecutedYes   Executed = 1
	ExecutedMaybe Executed = 2
)

// String returns "no", "yes" or "maybe".
func (e Executed) String() string {
	switch e {
	case ExecutedNo:
		return "no"
	case ExecutedYes:
		return "yes"
	case ExecutedMaybe:
		return "maybe"
	}
	return "executed " + strconv.Itoa(int(e))
}

// failure relates an error to the reply that stands for it: a kind before 3.0, a code in
// 3.0, with what it usually says about execution.
type failure struct {
	err      error
	kind     Kind        // zero: there is none
	code     FailureCode // zero: there is none
	executed Executed
	retry    bool // the same request may succeed later
}

var failures = [...]failure{
	{err: ErrShutdown, kind: ReplyShutdown, code: FailureShutdown, retry: true},
	{err: ErrInternal, kind: ReplyInternalError, code: FailureInternal, executed: ExecutedYes},
	{err: ErrSessionNotFound, kind: ReplySessionNotFound, code: FailureSessionNotFound},
	{err: ErrSessionFull, kind: ReplySessionFull, code: FailureSessionFull},
	{err: ErrSessionsDisabled, kind: ReplySessionsDisabled, code: FailureSessionsDisabled},
	{err: ErrProtocol, kind: ReplyProtocolError},
	{err: context.Canceled, code: FailureCancelled, executed: ExecutedMaybe},
	{err: context.DeadlineExceeded, code: FailureDeadline, executed: ExecutedMaybe},
	{err: ErrTooMany, code: FailureTooMany, retry: true},
	{err: ErrUnsupported, code: FailureUnsupported},
	{err: ErrOutcomeUnknown, code: FailureOutcomeUnknown, executed: ExecutedMaybe},
	{err: ErrReplyLost, code: FailureReplyLost, executed: ExecutedYes},
	{err: ErrNoHandler, code: FailureNoHandler},
	{err: ErrStreamLost, code: FailureStreamLost, executed: ExecutedMaybe},
	{err: ErrUnavailable, code: FailureUnavailable, retry: true},
}

// failure returns what the table has about the code. A code that it does not have says
// nothing about execution, and stands for no error.
func (c FailureCode) failure() failure {
	for _, f := range failures {
		if f.code == c && c != 0 {
			return f
		}
	}
	return failure{code: c, executed: ExecutedMaybe}
}

// Err returns the error that the code stands for: an error of this package,
// context.Canceled or context.DeadlineExceeded; nil for an unknown code.
func (c FailureCode) Err() error { return c.failure().err }

// Failure returns a failure with the code, and with what it says about execution unless
// more is known: FailureCancelled and FailureDeadline say "maybe".
func (c FailureCode) Failure() *FailureError {
	return &FailureError{Code: c, Executed: c.failure().executed}
}

// Retryable reports whether the same request may succeed later and was not executed.
func (c FailureCode) Retryable() bool { return c.failure().retry }

// String returns the text of the error that the code stands for, without its prefix.
func (c FailureCode) String() string {
	err := c.Err()
	if err == nil {
		return "failure " + strconv.Itoa(int(c))
	}
	_, text, ok := strings.Cut(err.Error(), ": ")
	if !ok {
		text = err.Error()
	}
	return text
}

// FailureError says that a request has no reply, and why: the content of a ReplyFailure.
// It wraps the error that its Code stands for; a FailureNoHandler with a Text wraps an *Error
// with the code CodeNotFound and that text, as in earlier versions.
type FailureError struct {
	Code     FailureCode // not 0; may be one that this package does not name
	Executed Executed
	Text     string // for people: UTF-8, may be empty
}

func (e *FailureError) Error() string {
	if e == nil {
		return "<nil>" // a handler's typed nil reaches the log
	}
	if app := e.notFound(); app != nil {
		return app.Error()
	}
	text := "protocol: " + e.Code.String()
	if e.Text != "" {
		text += ": " + e.Text
	}
	return text
}

func (e *FailureError) Unwrap() error {
	if e == nil {
		return nil
	}
	if app := e.notFound(); app != nil {
		return app
	}
	return e.Code.Err()
}

// notFound returns what earlier versions answer if no handler has the name of a request, nil if
// that is not the failure, or if the error of the code says as much.
func (e *FailureError) notFound() *Error {
	if e.Code != FailureNoHandler || e.Text == "" {
		return nil
	}
	return &Error{Code: CodeNotFound, Message: e.Text}
}

const failureSize = 1 + 1 // before the text

// Message returns the reply to the request with the id that carries e.
func (e *FailureError) Message(id ID) Message {
	b := make([]byte, 0, failureSize+len(e.Text))
	b = append(b, byte(e.Code), byte(e.Executed))
	b = append(b, strings.ToValidUTF8(e.Text, "\uFFFD")...)
	return Message{Kind: ReplyFailure, ID: id, Payload: Bytes(b)}
}

// Failure returns what a message of kind ReplyFailure says. The error wraps
// ErrMalformed.
func (m Message) Failure() (*FailureError, error) {
	f, err := m.body(ReplyFailure)
	if err != nil {
		return nil, err
	}
	e := &FailureError{Code: FailureCode(f.u8()), Executed: Executed(f.u8()), Text: string(f.rest)}
	f.require(e.Code != 0 && e.Executed <= ExecutedMaybe, errValue)
	if f.err != nil {
		return nil, f.err
	}
	return e, nil
}

// Failure returns the reply that answers a request with err.
//
//   - An *Error is sent as it is, in a ReplyError.
//   - A *FailureError is sent as it is in 3.0.
//   - The other errors that Message.Err returns are sent as a kind of reply before 3.0,
//     and as a ReplyFailure with what their code usually says about execution in 3.0.
//
// Everything else becomes an internal error without any text, because it may contain
// what the other end must not know. This includes errors that contain a *PeerError, an
// *Error whose code cannot be sent, errors that the version has no reply for, errors of
// contexts, and nil. The replies of an unknown version are those before 3.0.
func (v Version) Failure(id ID, err error) Message {
	s := v.spec()
	codes := s != nil && s.codes
	if fromPeer(err) {
		return internalFailure(id, codes)
	}
	var chosen *FailureError
	if codes && errors.As(err, &chosen) && chosen != nil && chosen.Code != 0 && chosen.Executed <= ExecutedMaybe {
		return chosen.Message(id)
	}
	if m, ok := appFailure(id, err); ok {
		return m
	}
	for _, f := range failures {
		if f.answers(codes) && errors.Is(err, f.err) {
			return f.reply(id, codes)
		}
	}
	return internalFailure(id, codes)
}

// answers reports whether an error of a handler that is f.err is answered with f, by its
// code or by its kind. Errors of contexts are not: they say nothing about the request.
func (f failure) answers(codes bool) bool {
	if codes {
		return f.code != 0 && f.err != context.Canceled && f.err != context.DeadlineExceeded
	}
	return f.kind != 0
}

func (f failure) reply(id ID, codes bool) Message {
	if codes {
		return f.code.Failure().Message(id)
	}
	return Message{Kind: f.kind, ID: id}
}

func internalFailure(id ID, codes bool) Message { return FailureInternal.failure().reply(id, codes) }

func fromPeer(err error) bool {
	var peer *PeerError
	return errors.As(err, &peer)
}

// appFailure returns the ReplyError for an err that contains an *Error, and whether it
// does.
func appFailure(id ID, err error) (Message, bool) {
	var app *Error
	if !errors.As(err, &app) || !app.sendable() {
		return Message{}, false
	}
	message := strings.ToValidUTF8(app.Message, "\uFFFD")
	return Message{Kind: ReplyError, ID: id, Name: app.Code, Payload: Text(message)}, true
}
