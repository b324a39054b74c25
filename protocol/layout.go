package protocol

import (
	"maps"
	"math"
)

// This file holds every difference between the published versions in how messages
// look. How peers behave is in internal/manners.

// layout describes messages with one type byte. They consist of, in this order, the
// type byte, the id, the ref, the number, the length of the head and the head, the
// length of the name and the name, a pad byte if a UTF-16 payload would otherwise start
// at an odd offset, and the payload.
type layout struct {
	kind     Kind
	from     senders
	counted  bool // see Version.Counted
	encoding Encoding
	id       bool
	ref      bool
	number   bool
	head     bool
	name     segment
	payload  segment
	least    uint8 // bytes of payload; zero: what payload says
	most     uint8 // bytes of payload; zero: no limit

	// What follows is computed from the above.

	typ    uint8 // the type byte
	start  start // what is between the id and the name
	fixed  uint8 // bytes of all parts that have a fixed size, without the pad
	shapes uint8 // what fault allows, see fits
}

// senders are the ends of a connection that send a message.
type senders uint8

const (
	client senders = 1 << iota
	server
	both = client | server
)

// start tells what is between the id and the name of a message.
type start uint8

const (
	noStart   start = iota // nothing
	headStart              // a head
	longStart              // a ref, a number or a most, and perhaps a head
)

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
	byType [256]layout      // kind 0: the version has no such message
	byKind [kinds][4]layout // the same layouts, by Encoding; a power of two is faster

	from    [kinds]senders // what the layouts say
	counted [kinds]bool    // what the layouts say

	session    sessionFields // what session objects contain
	jsonErrors bool          // application errors are JSON objects (1.2)
	codes      bool          // failures are ReplyFailure, with a code (3.0)
}

// rows is a version's table: the type byte, and what the message consists of.
type rows map[uint8]layout

// The tables of the versions. Each but the first consists of an earlier one and what
// changed.
var (
	rows1_2 = rows{
		0:   {kind: ReplyError, from: server, encoding: UTF8, id: true, payload: required}, // JSON
		1:   {kind: ReplyShutdown, from: server, id: true},
		2:   {kind: ReplyInternalError, from: server, id: true},
		3:   {kind: ReplySessionNotFound, from: server, id: true},
		4:   {kind: ReplySessionFull, from: server, id: true},
		5:   {kind: ReplySessionsDisabled, from: server, id: true},
		21:  {kind: SessionCreated, from: server, encoding: UTF8, payload: required},
		22:  {kind: SessionClosed, from: server},
		31:  {kind: CloseSession, from: client, id: true},
		32:  {kind: RestoreSession, from: client, encoding: UTF8, id: true, payload: required},
		63:  {kind: Signal, from: both, encoding: Binary, name: optional, payload: required},
		64:  {kind: Signal, from: both, encoding: UTF8, name: optional, payload: required},
		65:  {kind: Signal, from: both, encoding: UTF16, name: optional, payload: required},
		127: {kind: Request, from: client, encoding: Binary, id: true, name: optional, payload: required},
		128: {kind: Request, from: client, encoding: UTF8, id: true, name: optional, payload: required},
		129: {kind: Request, from: client, encoding: UTF16, id: true, name: optional, payload: required},
		191: {kind: Reply, from: server, encoding: Binary, id: true, payload: optional},
		192: {kind: Reply, from: server, encoding: UTF8, id: true, payload: optional},
		193: {kind: Reply, from: server, encoding: UTF16, id: true, payload: optional},
	}
	rows1_3 = rows1_2.with(rows{
		0:   {kind: ReplyError, from: server, encoding: UTF8, id: true, name: required, payload: optional},
		1:   {kind: ReplyShutdown, from: server, id: true, payload: ignored},
		2:   {kind: ReplyInternalError, from: server, id: true, payload: ignored},
		3:   {kind: ReplySessionNotFound, from: server, id: true, payload: ignored},
		4:   {kind: ReplySessionFull, from: server, id: true, payload: ignored},
		5:   {kind: ReplySessionsDisabled, from: server, id: true, payload: ignored},
		127: {kind: Request, from: client, encoding: Binary, id: true, name: optional, payload: orName},
		128: {kind: Request, from: client, encoding: UTF8, id: true, name: optional, payload: orName},
		129: {kind: Request, from: client, encoding: UTF16, id: true, name: optional, payload: orName},
	})
	rows1_4 = rows1_3.with(rows{
		6: {kind: ReplyProtocolError, from: server, id: true, payload: ignored},
	})
	rows1_5 = rows1_4.with(rows{
		33: {kind: Heartbeat, from: client},
	})
	rows2_0 = rows1_3.with(rows{
		23: {kind: AcceptConf, from: server, encoding: Binary, payload: required, least: confSize},
		33: {kind: Heartbeat, from: client},
		63: {kind: Signal, from: both, encoding: Binary, name: optional, payload: orName},
		64: {kind: Signal, from: both, encoding: UTF8, name: optional, payload: orName},
	})

	// 3.0 has no table to start from: nearly every row has changed.
	rows3_0 = rows{
		0:   {kind: ReplyError, from: both, counted: true, encoding: UTF8, id: true, name: required, payload: optional},
		8:   {kind: Ack, from: both, number: true},
		9:   {kind: Cancel, from: both, id: true, payload: required, least: 1, most: 1},
		10:  {kind: Credit, from: both, id: true, number: true},
		11:  {kind: Drain, from: server, payload: required, least: 9},
		12:  {kind: Gap, from: server, counted: true, ref: true, payload: required, least: 24, most: 24},
		13:  {kind: ReplyFailure, from: both, counted: true, id: true, payload: required, least: 2},
		21:  {kind: SessionCreated, from: server, counted: true, encoding: UTF8, payload: required},
		22:  {kind: SessionClosed, from: server, counted: true},
		23:  {kind: AcceptConf, from: server, payload: required, least: confSize3},
		24:  {kind: Hello, from: client, head: true, payload: required, least: helloSize, most: helloSize + resumeSize},
		25:  {kind: Welcome, from: server, payload: required, least: welcomeSize, most: welcomeSize},
		31:  {kind: CloseSession, from: client, counted: true, id: true},
		32:  {kind: RestoreSession, from: client, counted: true, encoding: UTF8, id: true, payload: required},
		34:  {kind: Subscribe, from: client, counted: true, id: true, ref: true, payload: required, least: subscribeSize + 1},
		35:  {kind: Unsubscribe, from: client, counted: true, ref: true},
		63:  {kind: Signal, from: both, counted: true, encoding: Binary, head: true, name: optional, payload: orName},
		64:  {kind: Signal, from: both, counted: true, encoding: UTF8, head: true, name: optional, payload: orName},
		65:  {kind: Signal, from: both, counted: true, encoding: UTF16, head: true, name: optional, payload: orName},
		66:  {kind: Item, from: both, counted: true, encoding: Binary, id: true, payload: optional},
		67:  {kind: Item, from: both, counted: true, encoding: UTF8, id: true, payload: optional},
		68:  {kind: Item, from: both, counted: true, encoding: UTF16, id: true, payload: optional},
		69:  {kind: Publication, from: server, counted: true, encoding: Binary, ref: true, number: true, head: true, name: optional, payload: orName},
		70:  {kind: Publication, from: server, counted: true, encoding: UTF8, ref: true, number: true, head: true, name: optional, payload: orName},
		71:  {kind: Publication, from: server, counted: true, encoding: UTF16, ref: true, number: true, head: true, name: optional, payload: orName},
		72:  {kind: Presence, from: server, counted: true, ref: true, payload: required, least: 1},
		127: {kind: Request, from: both, counted: true, encoding: Binary, id: true, head: true, name: optional, payload: orName},
		128: {kind: Request, from: both, counted: true, encoding: UTF8, id: true, head: true, name: optional, payload: orName},
		129: {kind: Request, from: both, counted: true, encoding: UTF16, id: true, head: true, name: optional, payload: orName},
		191: {kind: Reply, from: both, counted: true, encoding: Binary, id: true, head: true, payload: optional},
		192: {kind: Reply, from: both, counted: true, encoding: UTF8, id: true, head: true, payload: optional},
		193: {kind: Reply, from: both, counted: true, encoding: UTF16, id: true, head: true, payload: optional},
	}
)

// The versions. 1.3 and 1.4 changed without getting a new number; where the two
// states of 1.3 contradict each other this is the later one.
var (
	spec1_2 = spec{session: sessionFields{early: true}, jsonErrors: true}.with(rows1_2)
	spec1_3 = spec{session: sessionFields{early: true, late: true}}.with(rows1_3)
	spec1_4 = spec{session: sessionFields{late: true}}.with(rows1_4)
	spec1_5 = spec{session: sessionFields{late: true}}.with(rows1_5)
	spec2_0 = spec{session: sessionFields{late: true}}.with(rows2_0)
	spec3_0 = spec{session: sessionFields{late: true}, codes: true}.with(rows3_0)
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
		if l.ref {
			l.fixed += refSize
		}
		if l.number {
			l.fixed += numberSize
		}
		if l.head {
			l.fixed += headSize
			l.start = headStart
		}
		if l.ref || l.number || l.most > 0 {
			l.start = longStart
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
		s.from[l.kind] = l.from
		s.counted[l.kind] = l.counted
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

// fits reports whether fault returns nil, in a fraction of its time. Neither checks
// most, see tooLong.
func (l *layout) fits(name, data int) bool {
	return l.shapes&shape(name, data) != 0 && data >= int(l.least)
}

// tooLong reports whether a payload is longer than most.
func (l *layout) tooLong(data int) bool { return l.most > 0 && data > int(l.most) }

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
