package transport

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

// A Status is the reason why a connection was closed, as a number. All transports use the
// values of the WebSocket close code registry (RFC 6455, section 7.4, and IANA). Of the
// others, 3000 to 3999 belong to WebWire and 4000 to 4999 to applications.
type Status uint16

const (
	StatusNormalClosure           Status = 1000 // the connection is no longer needed
	StatusGoingAway               Status = 1001 // the server shuts down, or the user leaves the page
	StatusProtocolError           Status = 1002 // the peer broke the protocol
	StatusUnsupportedData         Status = 1003 // the peer sent a kind of data that is not accepted
	StatusNoStatusReceived        Status = 1005 // the peer closed without a status; never sent
	StatusAbnormalClosure         Status = 1006 // the connection was lost; never sent
	StatusInvalidFramePayloadData Status = 1007 // the peer sent data that does not match its type
	StatusPolicyViolation         Status = 1008 // the peer broke a rule of the application
	StatusMessageTooBig           Status = 1009 // the peer sent a message over the limit
	StatusMandatoryExtension      Status = 1010 // the server lacks an extension that the client needs
	StatusInternalError           Status = 1011 // the server failed
	StatusServiceRestart          Status = 1012 // the server restarts; WebWire: the connection goes on with another socket
	StatusTryAgainLater           Status = 1013 // the server is overloaded
	StatusBadGateway              Status = 1014 // a server behind the server failed
	StatusSlowConsumer            Status = 3000 // the peer did not read fast enough (WebWire)
	StatusCredentialsExpired      Status = 3001 // the client's credentials expired; it may connect again with new ones (WebWire)
	StatusReplaced                Status = 3500 // another connection took over the session (WebWire)
)

var statusNames = map[Status]string{
	StatusNormalClosure:           "normal closure",
	StatusGoingAway:               "going away",
	StatusProtocolError:           "protocol error",
	StatusUnsupportedData:         "unsupported data",
	StatusNoStatusReceived:        "no status received",
	StatusAbnormalClosure:         "abnormal closure",
	StatusInvalidFramePayloadData: "invalid frame payload data",
	StatusPolicyViolation:         "policy violation",
	StatusMessageTooBig:           "message too big",
	StatusMandatoryExtension:      "mandatory extension",
	StatusInternalError:           "internal error",
	StatusServiceRestart:          "service restart",
	StatusTryAgainLater:           "try again later",
	StatusBadGateway:              "bad gateway",
	StatusSlowConsumer:            "slow consumer",
	StatusCredentialsExpired:      "credentials expired",
	StatusReplaced:                "replaced",
}

// String returns the number of the status and its name if it has one: "1001 going away".
func (s Status) String() string {
	text := strconv.Itoa(int(s))
	if name := statusNames[s]; name != "" {
		text += " " + name
	}
	return text
}

// Sendable reports whether the status may be sent to a peer.
func (s Status) Sendable() bool {
	switch {
	case s >= 3000 && s <= 4999:
		return true
	case s >= 1000 && s <= 1014:
		return s != 1004 && s != 1005 && s != 1006
	}
	return false
}

// Final reports whether a client that was closed with the status must not connect again.
// Final statuses are 3500 to 3999, which belong to WebWire, and 4500 to 4999, which belong
// to applications. After any other status a client reconnects.
func (s Status) Final() bool { return s >= 3500 && s <= 3999 || s >= 4500 && s <= 4999 }

// MaxReason is the maximum length of a close reason, in bytes.
const MaxReason = 123

// CutReason returns reason in the form in which it is sent: invalid UTF-8 is replaced by
// U+FFFD, and the result is cut at a rune boundary to at most MaxReason bytes.
func CutReason(reason string) string {
	cut := make([]byte, 0, MaxReason)
	for _, r := range reason {
		if len(cut)+utf8.RuneLen(r) > MaxReason {
			break
		}
		cut = utf8.AppendRune(cut, r)
	}
	return string(cut)
}

// ErrConfig is wrapped by errors of Dial that report invalid configuration, such as a URL
// without a host. Dialling again fails in the same way.
var ErrConfig = errors.New("transport: dialer is misconfigured")

// ErrOrigin is wrapped by errors of Upgrade that report a request from a web page whose
// origin is not allowed. The error names the origin.
var ErrOrigin = errors.New("transport: origin is not allowed to connect")

// A CloseError reports that either end closed the connection. Read, Write and Ping return
// it after the close. It unwraps to net.ErrClosed.
type CloseError struct {
	Status Status
	Reason string
	Local  bool // this end closed or aborted the connection, not the peer
}

func (e *CloseError) Error() string {
	who := "closed by the peer"
	if e.Local {
		who = "closed"
	}
	text := "transport: connection " + who + " (" + e.Status.String() + ")"
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

func (e *CloseError) Unwrap() error { return net.ErrClosed }

// A RefusedError reports that the endpoint answered Dial or Probe with something other
// than a connection or metadata.
type RefusedError struct {
	StatusCode int           // the HTTP status code
	RetryAfter time.Duration // the time the endpoint asks to wait before the next attempt; zero: not specified
	Reason     string        // the first line of the answer's body, at most 200 bytes
	Location   string        // the target of a redirect, without its query; redirects are not followed
}

func (e *RefusedError) Error() string {
	text := fmt.Sprintf("transport: endpoint answered %d %s", e.StatusCode, http.StatusText(e.StatusCode))
	if e.Location != "" {
		text += ", redirect to " + strconv.Quote(e.Location)
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// A PartialError is an error of Write that reports how many messages were sent. Connections
// may return other errors, after which any of the messages may have been sent.
type PartialError struct {
	// Sent is the number of leading messages that were passed to the network completely.
	// The peer may have received those, and has not received any of the others as a
	// whole.
	Sent int

	// Err is the reason for the failure.
	Err error
}

func (e *PartialError) Error() string { return e.Err.Error() }
func (e *PartialError) Unwrap() error { return e.Err }
