package protocol

import (
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"time"
)

// ConnID names a connection of 3.0, which may be carried by several sockets one after
// the other.
type ConnID [16]byte

// String returns the bytes in wire order as hexadecimal digits.
func (id ConnID) String() string { return hex.EncodeToString(id[:]) }

// Secret proves that a client is the one that had the connection before. Package fmt
// does not print it.
type Secret [16]byte

// Equal reports whether two secrets are the same, in a time that does not depend on it.
func (s Secret) Equal(other Secret) bool { return subtle.ConstantTimeCompare(s[:], other[:]) == 1 }

// Format implements fmt.Formatter.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(secret)") }

// leastMessage is the smallest limit to the length of messages that an end may announce.
const leastMessage = 1 << 10

// HelloBody is what a client says first on a socket.
type HelloBody struct {
	MessageSize  int     // the longest message that the client takes, in bytes: at least 1024; zero: no limit
	StreamCredit int     // the first limit of each streamed reply to the client, in bytes
	Requests     int     // requests of the server that the client takes at once, at most 65535; zero: none
	Resume       *Resume // the connection to go on with; nil: a new one
	Head         Head    // Head.Credentials, Head.Client
}

// Resume says where the client is in a connection that it wants to go on with.
type Resume struct {
	Conn    ConnID
	Secret  Secret
	Attempt uint32 // higher each time

	Received  uint64 // counted messages that have arrived
	FirstKept uint64 // the number of the first message that the client can send again
}

const (
	helloSize  = 1 + 4 + 4 + 2
	resumeSize = 16 + 16 + 4 + 8 + 8

	flagResume = 1
)

// Message returns the message that carries h. Values that are out of range become the
// nearest that are not.
func (h HelloBody) Message() Message {
	b := make([]byte, 1, helloSize+resumeSize)
	b = appendClamped32(b, leastOrNone(h.MessageSize))
	b = appendClamped32(b, int64(h.StreamCredit))
	b = appendClamped16(b, h.Requests)
	if r := h.Resume; r != nil {
		b[0] = flagResume
		b = append(b, r.Conn[:]...)
		b = append(b, r.Secret[:]...)
		b = appendClamped32(b, int64(r.Attempt))
		b = appendNumber(b, r.Received)
		b = appendNumber(b, r.FirstKept)
	}
	return Message{Kind: Hello, Head: h.Head, Payload: Bytes(b)}
}

// Hello returns what a message of kind Hello says. The Head aliases the message's. The
// error wraps ErrMalformed.
func (m Message) Hello() (HelloBody, error) {
	f, err := m.body(Hello)
	if err != nil {
		return HelloBody{}, err
	}
	flags := f.u8()
	h := HelloBody{MessageSize: f.size(), StreamCredit: f.int(), Requests: int(f.u16()), Head: m.Head}
	resumes := flags&flagResume != 0
	switch {
	case flags&^flagResume != 0:
		return HelloBody{}, errValue
	case resumes != (len(f.rest) == resumeSize), !resumes && len(f.rest) > 0:
		return HelloBody{}, errResumes
	case resumes:
		h.Resume = &Resume{
			Conn:      ConnID(f.take(16)),
			Secret:    Secret(f.take(16)),
			Attempt:   f.u32(),
			Received:  f.number(),
			FirstKept: f.number(),
		}
	}
	if f.err != nil {
		return HelloBody{}, f.err
	}
	return h, nil
}

// leastOrNone returns the limit to the length of messages that is said for n.
func leastOrNone(n int) int64 {
	if n <= 0 {
		return 0
	}
	return max(int64(n), leastMessage)
}

// size returns four bytes as a limit to the length of messages.
func (f *fields) size() int {
	n := f.int()
	f.require(n == 0 || n >= leastMessage, errLeast)
	return n
}

// int returns four bytes as an int, where that has 32 bits at most its largest.
func (f *fields) int() int { return clampInt(f.u32()) }

// Outcome says what became of the connection that a client wanted to go on with.
type Outcome uint8

const (
	OutcomeFresh       Outcome = 0 // it did not ask for one: this connection is new
	OutcomeResumed     Outcome = 1 // it goes on, and nothing is lost
	OutcomeGap         Outcome = 2 // it goes on; messages before WelcomeBody.From are lost
	OutcomeExpired     Outcome = 3 // unknown or expired: this connection is new
	OutcomeNodeGone    Outcome = 4 // the server that had it is gone: this connection is new
	OutcomeTaken       Outcome = 5 // another client has it: this connection is new
	OutcomeUnavailable Outcome = 7 // the server cannot tell now: the client tries again later
)

// Resumed reports whether the connection goes on.
func (o Outcome) Resumed() bool { return o == OutcomeResumed || o == OutcomeGap }

// WelcomeBody is what a server answers to Hello.
type WelcomeBody struct {
	Outcome Outcome
	Conn    ConnID
	Secret  Secret
	Window  time.Duration // for how long after the end of a socket the connection can be resumed, in whole milliseconds; zero: not at all
	Ring    int           // bytes that the server keeps in order to send them again

	Received uint64 // counted messages of the client that have arrived
	From     uint64 // the number of the first counted message that follows
	Late     int    // uncounted replies that follow before it, at most 65535
}

const welcomeSize = 1 + 16 + 16 + 4 + 4 + 8 + 8 + 2

// Message returns the message that carries w. Values that are out of range become the
// nearest that are not.
func (w WelcomeBody) Message() Message {
	b := make([]byte, 0, welcomeSize)
	b = append(b, byte(w.Outcome))
	b = append(b, w.Conn[:]...)
	b = append(b, w.Secret[:]...)
	b = appendClamped32(b, w.Window.Milliseconds())
	b = appendClamped32(b, int64(w.Ring))
	b = appendNumber(b, w.Received)
	b = appendNumber(b, w.From)
	b = appendClamped16(b, w.Late)
	return Message{Kind: Welcome, Payload: Bytes(b)}
}

// Welcome returns what a message of kind Welcome says. The error wraps ErrMalformed.
func (m Message) Welcome() (WelcomeBody, error) {
	f, err := m.body(Welcome)
	if err != nil {
		return WelcomeBody{}, err
	}
	w := WelcomeBody{
		Outcome:  Outcome(f.u8()),
		Conn:     ConnID(f.take(16)),
		Secret:   Secret(f.take(16)),
		Window:   f.millis(),
		Ring:     f.int(),
		Received: f.number(),
		From:     f.number(),
		Late:     int(f.u16()),
	}
	f.require(w.Outcome <= OutcomeTaken || w.Outcome == OutcomeUnavailable, errValue)
	if f.err != nil {
		return WelcomeBody{}, f.err
	}
	return w, nil
}

func (f *fields) millis() time.Duration { return time.Duration(f.u32()) * time.Millisecond }

// DrainReason says why a server asks its clients to move.
type DrainReason uint8

const (
	DrainShutdown DrainReason = 0 // it is about to stop
	DrainBalance  DrainReason = 1 // others have less to do
)

// DrainBody is how a server asks a client to move to another server, or to another
// process behind the same address.
type DrainBody struct {
	Reason   DrainReason   // may be one that this package does not name
	Spread   time.Duration // within which the client picks a random moment to connect anew; whole milliseconds
	Grace    time.Duration // after which the server closes the socket; whole milliseconds
	Endpoint string        // where to connect; empty: where the client would anyway
}

// Message returns the message that carries d. Values that are out of range become the
// nearest that are not.
func (d DrainBody) Message() Message {
	b := make([]byte, 0, 9+len(d.Endpoint))
	b = append(b, byte(d.Reason))
	b = appendClamped32(b, d.Spread.Milliseconds())
	b = appendClamped32(b, d.Grace.Milliseconds())
	return Message{Kind: Drain, Payload: Bytes(append(b, d.Endpoint...))}
}

// Drain returns what a message of kind Drain says. The error wraps ErrMalformed.
func (m Message) Drain() (DrainBody, error) {
	f, err := m.body(Drain)
	if err != nil {
		return DrainBody{}, err
	}
	return DrainBody{
		Reason:   DrainReason(f.u8()),
		Spread:   f.millis(),
		Grace:    f.millis(),
		Endpoint: string(f.rest),
	}, nil
}
