package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ErrMalformed is wrapped by every error about a message that breaks the
// protocol, whether it was received or about to be sent.
var ErrMalformed = errors.New("protocol: malformed message")

// ErrTooBig is wrapped by errors about a message that was not sent because it is
// longer than the peer said it takes (section 7.1).
var ErrTooBig = errors.New("protocol: message is longer than the peer accepts")

// What a server may answer instead of a reply. On the wire each is a kind of
// message without a payload; Failure and Message.Err translate.
var (
	ErrInternal         = errors.New("webwire: internal error of the server")
	ErrShutdown         = errors.New("webwire: server is shutting down")
	ErrSessionNotFound  = errors.New("webwire: session not found")
	ErrSessionFull      = errors.New("webwire: session has as many connections as it may have")
	ErrSessionsDisabled = errors.New("webwire: server has sessions disabled")
	ErrProtocol         = errors.New("webwire: server found the request malformed")
)

// Error is what an application answers to a request that it refuses: the one sort
// of error whose content crosses the wire. errors.Is compares codes only:
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

// Failure is Version.Failure for the versions before 3.0, whose replies are the same.
func Failure(id ID, err error) Message {
	if m, ok := appFailure(id, err); ok {
		return m
	}
	for i := range failures {
		if f := &failures[i]; f.kind != 0 && errors.Is(err, f.err) {
			return Message{Kind: f.kind, ID: id}
		}
	}
	return Message{Kind: ReplyInternalError, ID: id}
}

// appFailure returns the reply for an err that the application chose to answer.
func appFailure(id ID, err error) (Message, bool) {
	var app *Error
	if !errors.As(err, &app) || !app.sendable() {
		return Message{}, false
	}
	message := strings.ToValidUTF8(app.Message, "\uFFFD")
	return Message{Kind: ReplyError, ID: id, Name: app.Code, Payload: Text(message)}, true
}

// Err returns the error that a message of a replying kind stands for: nil for a Reply, a
// *FailureError for a ReplyFailure, and an error that wraps ErrMalformed for what is no
// reply.
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
		return failure
	}
	for i := range failures {
		if f := &failures[i]; f.kind != 0 && m.Kind == f.kind {
			return f.err
		}
	}
	return malformed("a " + m.Kind.String() + " is no reply")
}

// errorObject is the payload of a ReplyError in 1.2 (section 3.3).
type errorObject struct {
	Code    string `json:"c"`
	Message string `json:"m,omitempty"`
}

// appError returns the *Error of a ReplyError. One that came in 1.2 has no name:
// it is kept as the JSON it was, which only those who want to know take apart.
func (m Message) appError() error {
	if m.Name != "" {
		return &Error{Code: m.Name, Message: m.Payload.Text()}
	}
	var o errorObject
	if err := json.Unmarshal(m.Payload.Data, &o); err != nil {
		return fmt.Errorf("%w: error reply is not JSON: %w", ErrMalformed, err)
	}
	return &Error{Code: o.Code, Message: o.Message}
}

// appendJSONError appends a ReplyError with a name as 1.2 writes it. The name becomes
// a part of the payload, where the rules of names would be lost.
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
