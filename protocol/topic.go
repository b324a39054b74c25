package protocol

import (
	"encoding/json"
)

// Position is a place in the history of a topic: that of a publication, or of a reader that
// has everything up to it. Offsets grow with each publication of the topic; they begin anew
// with another epoch. The zero Position is none.
type Position struct {
	Epoch, Offset uint64 // both below 2^53
}

const positionSize = 8 + 8

func (p Position) append(b []byte) []byte { return appendNumber(appendNumber(b, p.Epoch), p.Offset) }

func (f *fields) position() Position { return Position{f.number(), f.number()} }

// Payload returns the payload of the reply to a Subscribe: the position after which
// publications follow. Values of 2^53 or more become the largest that can be said.
func (p Position) Payload() Payload { return Bytes(p.append(make([]byte, 0, positionSize))) }

// Position returns the position that a payload holds. The error wraps ErrMalformed.
func (p Payload) Position() (Position, error) {
	switch {
	case p.Encoding != Binary:
		return Position{}, errKind
	case len(p.Data) < positionSize:
		return Position{}, errNoPayload
	case len(p.Data) > positionSize:
		return Position{}, errTrailing
	}
	f := fields{rest: p.Data}
	position := f.position()
	if f.err != nil {
		return Position{}, f.err
	}
	return position, nil
}

// SubscribeBody asks for the publications of a topic.
type SubscribeBody struct {
	ID       ID
	Ref      uint32    // how messages name the subscription: not 0, not in use on the connection
	Since    *Position // after which publications are wanted, zero for all; nil: those to come
	Presence bool      // whether Presence messages are wanted too
	Topic    string    // at least one byte
}

const (
	subscribeSize = 1 + positionSize // before the topic

	flagSince    = 1
	flagPresence = 2
)

// Message returns the message that carries s. Numbers of 2^53 or more become the largest
// that can be said.
func (s SubscribeBody) Message() Message {
	b := make([]byte, 1, subscribeSize+len(s.Topic))
	var since Position
	if s.Since != nil {
		b[0] = flagSince
		since = *s.Since
	}
	if s.Presence {
		b[0] |= flagPresence
	}
	b = append(since.append(b), s.Topic...)
	return Message{Kind: Subscribe, ID: s.ID, Ref: s.Ref, Payload: Bytes(b)}
}

// Subscribe returns what a message of kind Subscribe says. The error wraps ErrMalformed.
func (m Message) Subscribe() (SubscribeBody, error) {
	f, err := m.body(Subscribe)
	if err != nil {
		return SubscribeBody{}, err
	}
	flags := f.u8()
	since := f.position()
	f.require(flags&^(flagSince|flagPresence) == 0, errValue)
	f.require(flags&flagSince != 0 || since == Position{}, errValue)
	f.require(m.Ref != 0, errValue)
	if f.err != nil {
		return SubscribeBody{}, f.err
	}
	s := SubscribeBody{ID: m.ID, Ref: m.Ref, Presence: flags&flagPresence != 0, Topic: string(f.rest)}
	if flags&flagSince != 0 {
		s.Since = &since
	}
	return s, nil
}

// GapBody tells that messages to the client were lost.
type GapBody struct {
	Ref  uint32   // the subscription; zero: the signals
	Lost uint64   // how many, below 2^53; zero: unknown
	Next Position // after which the subscription goes on; zero for signals, and without history
}

// Message returns the message that carries g. Numbers of 2^53 or more become the largest
// that can be said.
func (g GapBody) Message() Message {
	b := appendNumber(make([]byte, 0, 8+positionSize), g.Lost)
	return Message{Kind: Gap, Ref: g.Ref, Payload: Bytes(g.Next.append(b))}
}

// Gap returns what a message of kind Gap says. The error wraps ErrMalformed.
func (m Message) Gap() (GapBody, error) {
	f, err := m.body(Gap)
	if err != nil {
		return GapBody{}, err
	}
	g := GapBody{Ref: m.Ref, Lost: f.number(), Next: f.position()}
	if f.err != nil {
		return GapBody{}, f.err
	}
	return g, nil
}

// PresenceOp says what happened to a subscriber of a topic.
type PresenceOp uint8

const (
	PresencePart   PresenceOp = 0 // the data is a part of a snapshot of all subscribers
	PresenceEnd    PresenceOp = 1 // the snapshot ends with this part
	PresenceEnter  PresenceOp = 2
	PresenceLeave  PresenceOp = 3
	PresenceUpdate PresenceOp = 4
)

// PresenceBody tells of the other subscribers of a topic.
type PresenceBody struct {
	Ref  uint32
	Op   PresenceOp
	Data json.RawMessage // nil: none
}

// Message returns the message that carries p.
func (p PresenceBody) Message() Message {
	b := append(make([]byte, 0, 1+len(p.Data)), byte(p.Op))
	return Message{Kind: Presence, Ref: p.Ref, Payload: Bytes(append(b, p.Data...))}
}

// Presence returns what a message of kind Presence says. Data aliases the message's
// payload; it is not checked to be JSON. The error wraps ErrMalformed.
func (m Message) Presence() (PresenceBody, error) {
	f, err := m.body(Presence)
	if err != nil {
		return PresenceBody{}, err
	}
	p := PresenceBody{Ref: m.Ref, Op: PresenceOp(f.u8())}
	f.require(p.Op <= PresenceUpdate, errValue)
	if f.err != nil {
		return PresenceBody{}, f.err
	}
	if len(f.rest) > 0 {
		p.Data = json.RawMessage(f.rest)
	}
	return p, nil
}
