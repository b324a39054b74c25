package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
)

var (
	// ErrMalformed is wrapped by every error about a message that violates the
	// protocol, whether it was received or is about to be sent.
	ErrMalformed = errors.New("protocol: malformed message")

	// ErrTooBig is wrapped by errors about a message that was not sent because it is
	// longer than the peer accepts (section 7.1).
	ErrTooBig = errors.New("protocol: message is longer than the peer accepts")

	// ErrVersion is returned by the methods of a Version that this package does not
	// know, and wrapped by the errors of ParseVersion and ParseToken.
	ErrVersion = errors.New("protocol: unknown version")
)

// What a server may answer to a request instead of a Reply. On the wire each is a
// kind of message without a payload; Version.Failure and Message.Err translate.
var (
	ErrInternal         = errors.New("protocol: internal error of the server")
	ErrShutdown         = errors.New("protocol: server is shutting down")
	ErrSessionNotFound  = errors.New("protocol: session not found")
	ErrSessionFull      = errors.New("protocol: session has its maximum number of connections")
	ErrSessionsDisabled = errors.New("protocol: server has sessions disabled")
	ErrProtocol         = errors.New("protocol: server found the request malformed")
)

// The codes of the errors that this library itself answers.
const (
	CodeNotFound      = "NOT_FOUND"      // no handler has the name of the request
	CodeBadRequest    = "BAD_REQUEST"    // the payload of the request cannot be decoded
	CodeSessionActive = "SESSION_ACTIVE" // the connection has a session already
	CodeTooBig        = "TOO_BIG"        // the reply is longer than the client accepts
)

// Error is an application's answer to a request that it refuses. It is the only
// error whose content crosses the wire. errors.Is compares codes only:
//
//	errors.Is(err, &protocol.Error{Code: "NO_SUCH_ROOM"})
type Error struct {
	Code    string // for programs: 1 to 255 bytes, each 32 to 126
	Message string // for people: UTF-8, may be empty
}

func (e *Error) Error() string {
	switch {
	case e == nil:
		return "<nil>" // a handler's typed nil reaches the log
	case e.Message == "":
		return e.Code
	}
	return e.Code + ": " + e.Message
}

// Is reports whether target is an *Error with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && e != nil && t != nil && t.Code == e.Code
}

// sendable reports whether every version can carry the error's code.
func (e *Error) sendable() bool {
	return e != nil && e.Code != "" && len(e.Code) <= maxName && validName(e.Code)
}

// CodeOf returns the code of the first *Error in err's tree, or "" if there is none.
func CodeOf(err error) string {
	var app *Error
	if errors.As(err, &app) && app != nil {
		return app.Code
	}
	return ""
}

// PeerError is an error that the peer answered, as opposed to one that arose on this
// side: Err is an *Error, a *FailureError or one of this package's variables. errors.Is
// and errors.As find those through it.
//
// A server whose handler returns a PeerError, because it asked another server for
// instance, answers ErrInternal: the peer's answer is not the handler's own. A
// handler that wants to pass on an *Error takes it out with errors.As.
type PeerError struct{ Err error }

func (e *PeerError) Error() string { return e.Err.Error() }

func (e *PeerError) Unwrap() error { return e.Err }

// Err returns the error that a reply stands for, a *PeerError, or nil for a Reply. In
// the *PeerError of a ReplyFailure is a *FailureError. If the message is not a reply, or
// cannot be decoded, the error wraps ErrMalformed and is not a *PeerError.
func (m Message) Err() error {
	switch m.Kind {
	case Reply:
		return nil
	case ReplyError:
		return m.appError()
	case ReplyFailure:
		failure, err := m.Failure()
		if err != nil {
			return err
		}
		return &PeerError{failure}
	}
	for _, f := range failures {
		if f.kind != 0 && m.Kind == f.kind {
			return &PeerError{f.err}
		}
	}
	return malformed(m.Kind.String() + " is not a reply")
}

// errorObject is the payload of a ReplyError in 1.2 (section 3.3).
type errorObject struct {
	Code    string `json:"c"`
	Message string `json:"m,omitempty"`
}

// appError returns the *PeerError of a ReplyError. In 1.2 the message has no name:
// Parse leaves its JSON alone, and only this method decodes it.
func (m Message) appError() error {
	if m.Name != "" {
		return &PeerError{&Error{Code: m.Name, Message: m.Payload.Text()}}
	}
	var o errorObject
	if err := json.Unmarshal(m.Payload.Data, &o); err != nil {
		return fmt.Errorf("%w: error reply is not JSON: %w", ErrMalformed, err)
	}
	return &PeerError{&Error{Code: o.Code, Message: o.Message}}
}

// appendJSONError appends a ReplyError with a name in the form of 1.2. The name becomes
// part of the payload, so its rules are checked here.
func (v Version) appendJSONError(dst []byte, m Message) ([]byte, error) {
	switch {
	case len(m.Name) > maxName:
		return dst, errLongName
	case !validName(m.Name):
		return dst, errNameBytes
	}
	// Two strings always have a JSON form.
	data, _ := json.Marshal(errorObject{m.Name, m.Payload.Text()})
	m.Name, m.Payload = "", Payload{UTF8, data}
	return v.Append(dst, m)
}
