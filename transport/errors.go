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

// Status says why a connection was closed. The values are those of RFC 6455,
// section 7.4.1, whatever the transport; 4000 to 4999 are for applications.
type Status uint16

const (
	StatusNormal       Status = 1000 // the purpose is fulfilled
	StatusGoingAway    Status = 1001 // the server shuts down, the page is left
	StatusProtocol     Status = 1002 // the peer broke the protocol
	StatusUnsupported  Status = 1003 // a kind of data that is not accepted
	StatusNone         Status = 1005 // the peer closed without a status; never sent
	StatusPolicy       Status = 1008 // the peer broke a rule of the application
	StatusTooBig       Status = 1009 // a message over the limit
	StatusInternal     Status = 1011 // the server failed
	StatusTryLater     Status = 1013 // the server is overloaded
	StatusReplaced     Status = 3500 // another connection took over the session (WebWire)
	StatusSlowConsumer Status = 4001 // the peer did not read fast enough (WebWire)
)

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

// Final reports whether the status tells a client not to connect again: 3500 to 3999,
// which belong to WebWire, and 4500 to 4999, which belong to applications. After any
// other status a client connects again.
func (s Status) Final() bool { return s >= 3500 && s <= 3999 || s >= 4500 && s <= 4999 }

// MaxReason is the length in bytes of the longest close reason.
const MaxReason = 123

// CutReason returns reason as it may be sent: valid UTF-8 of at most MaxReason bytes.
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

// ErrConfig is wrapped by errors of Dial about what the dialer was given, a URL
// without a host for instance: trying again does not help.
var ErrConfig = errors.New("transport: dialer is misconfigured")

// ErrOrigin is wrapped by the error of an Upgrade that was refused because of the web
// page that asked for it. The error names the page's origin.
var ErrOrigin = errors.New("transport: origin is not allowed to connect")

// CloseError is what Read and Write return once either side closed the
// connection. It unwraps to net.ErrClosed.
type CloseError struct {
	Status Status
	Reason string
	Local  bool // closed or aborted by this side, not by the peer
}

func (e *CloseError) Error() string {
	who := "closed by the peer"
	if e.Local {
		who = "closed"
	}
	text := "transport: connection " + who + " (" + strconv.Itoa(int(e.Status)) + ")"
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

func (e *CloseError) Unwrap() error { return net.ErrClosed }

// RefusedError is what Dial and Probe return when the endpoint answered, but
// not with a connection or its metadata.
type RefusedError struct {
	StatusCode int           // of HTTP, 503 for instance
	RetryAfter time.Duration // how long the endpoint asks to wait; zero if it does not say
	Reason     string        // the first line of its answer, at most 200 bytes
	Location   string        // where a redirect, which is not followed, points to; without query
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

// A PartialError is an error of Write that knows how far it came. Connections need not
// return it; without it any of the messages may have been sent.
type PartialError struct {
	// Sent is the number of messages, from the first on, of which the last byte was
	// given to the network. The peer has not seen the others whole, and need not have
	// received these either.
	Sent int

	// Err is why Write failed.
	Err error
}

func (e *PartialError) Error() string { return e.Err.Error() }
func (e *PartialError) Unwrap() error { return e.Err }
