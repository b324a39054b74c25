package protocol

import (
	"maps"
	"math"
)

// This file holds every difference between the published versions in how messages
// look. How peers behave is in internal/manners.

// layout describes messages with one type byte. They consist of, in this order, the
// type byte, the id, the length of the name and the name, a pad byte if a UTF-16
// payload would otherwise start at an odd offset, and the payload.
type layout struct {
	kind     Kind
	encoding Encoding
	id       bool
	name     segment
	payload  segment
	least    uint8 // bytes of payload; zero: what payload says

	// What follows is computed from the above.

	typ    uint8 // the type byte
	fixed  uint8 // bytes before the name, or where it would be
	shapes uint8 // what fault allows, see fits
}

// segment tells whether a message has a name or a payload.
type segment uint8

const (
	absent   segment = iota // there is none; more bytes are malformed
	ignored                 // there should be none, but senders may add bytes
	optional                // there may be one
	orName                  // of a payload: there is one, or a name, or both
	required                // there is one, of at least one byte (UTF-16: two)
)

// spec is a version: its messages.
type spec struct {
	byType [256]layout              // kind 0: the version has no such message
	byKind [kinds][encodings]layout // the same layouts

	session    sessionFields // what session objects contain
	jsonErrors bool          // application errors are JSON objects (1.2)
}

// rows is a version's table: the type byte, and what the message consists of.
type rows map[uint8]layout

// The tables of the versions. Each but the first consists of an earlier one and what
// changed.
var (
	rows1_2 = rows{
		0:   {kind: ReplyError, encoding: UTF8, id: true, payload: required}, // JSON
		1:   {kind: ReplyShutdown, id: true},
		2:   {kind: ReplyInternalError, id: true},
		3:   {kind: ReplySessionNotFound, id: true},
		4:   {kind: ReplySessionFull, id: true},
		5:   {kind: ReplySessionsDisabled, id: true},
		21:  {kind: SessionCreated, encoding: UTF8, payload: required},
		22:  {kind: SessionClosed},
		31:  {kind: CloseSession, id: true},
		32:  {kind: RestoreSession, encoding: UTF8, id: true, payload: required},
		63:  {kind: Signal, encoding: Binary, name: optional, payload: required},
		64:  {kind: Signal, encoding: UTF8, name: optional, payload: required},
		65:  {kind: Signal, encoding: UTF16, name: optional, payload: required},
		127: {kind: Request, encoding: Binary, id: true, name: optional, payload: required},
		128: {kind: Request, encoding: UTF8, id: true, name: optional, payload: required},
		129: {kind: Request, encoding: UTF16, id: true, name: optional, payload: required},
		191: {kind: Reply, encoding: Binary, id: true, payload: optional},
		192: {kind: Reply, encoding: UTF8, id: true, payload: optional},
		193: {kind: Reply, encoding: UTF16, id: true, payload: optional},
	}
	rows1_3 = rows1_2.with(rows{
		0:   {kind: ReplyError, encoding: UTF8, id: true, name: required, payload: optional},
		1:   {kind: ReplyShutdown, id: true, payload: ignored},
		2:   {kind: ReplyInternalError, id: true, payload: ignored},
		3:   {kind: ReplySessionNotFound, id: true, payload: ignored},
		4:   {kind: ReplySessionFull, id: true, payload: ignored},
		5:   {kind: ReplySessionsDisabled, id: true, payload: ignored},
		127: {kind: Request, encoding: Binary, id: true, name: optional, payload: orName},
		128: {kind: Request, encoding: UTF8, id: true, name: optional, payload: orName},
		129: {kind: Request, encoding: UTF16, id: true, name: optional, payload: orName},
	})
	rows1_4 = rows1_3.with(rows{
		6: {kind: ReplyProtocolError, id: true, payload: ignored},
	})
	rows1_5 = rows1_4.with(rows{
		33: {kind: Heartbeat},
	})
	rows2_0 = rows1_3.with(rows{
		23: {kind: AcceptConf, encoding: Binary, payload: required, least: confSize},
		33: {kind: Heartbeat},
		63: {kind: Signal, encoding: Binary, name: optional, payload: orName},
		64: {kind: Signal, encoding: UTF8, name: optional, payload: orName},
	})
)

// The versions. 1.3 and 1.4 changed without getting a new number; where the two
// states of 1.3 contradict each other this is the later one.
var (
	spec1_2 = spec{session: sessionFields{early: true}, jsonErrors: true}.with(rows1_2)
	spec1_3 = spec{session: sessionFields{early: true, late: true}}.with(rows1_3)
	spec1_4 = spec{session: sessionFields{late: true}}.with(rows1_4)
	spec1_5 = spec{session: sessionFields{late: true}}.with(rows1_5)
	spec2_0 = spec{session: sessionFields{late: true}}.with(rows2_0)
)

func (r rows) with(changed rows) rows {
	all := maps.Clone(r)
	maps.Copy(all, changed)
	return all
}

func (s spec) with(r rows) spec {
	for typ, l := range r {
		l.typ, l.fixed = typ, 1
		if l.id {
			l.fixed += idSize
		}
		if l.name != absent {
			l.fixed++
		}
		for name := range 2 {
			for data := range 2 {
				if l.fault(name, data*math.MaxUint8) == nil {
					l.shapes |= shape(name, data)
				}
			}
		}
		s.byType[typ] = l
		s.byKind[l.kind][l.encoding] = l
	}
	return s
}

// fault returns what is wrong with a message of the layout whose name and payload have
// the given lengths, or nil. Inlined it would slow down the messages that fit.
//
//go:noinline
func (l *layout) fault(name, data int) error {
	switch {
	case l.kind == 0:
		return errNotInTables
	case name == 0 && l.name == required:
		return errNoName
	case name > 0 && l.name == absent, data > 0 && l.payload <= ignored:
		return errTrailing
	case data == 0 && (l.payload == required || l.payload == orName && name == 0), data < int(l.least):
		return errNoPayload
	}
	return nil
}

// fits reports whether fault returns nil, in a fraction of its time.
func (l *layout) fits(name, data int) bool {
	return l.shapes&shape(name, data) != 0 && data >= int(l.least)
}

// shape returns one bit, which stands for whether there is a name and a payload.
func shape(name, data int) uint8 {
	n := uint(0)
	if name > 0 {
		n = 1
	}
	if data > 0 {
		n |= 2
	}
	return 1 << (n & 3) // with fewer instructions than for an n of any size
}
