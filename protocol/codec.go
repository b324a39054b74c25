package protocol

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unsafe"
)

const (
	idSize     = 8
	idEnd      = 1 + idSize
	refSize    = 4
	numberSize = 8
	headSize   = 2 // of the length of a head
	padSize    = 1
	maxName    = 255
	unitSize   = 2 // of UTF-16, in bytes
	firstName  = ' '
	lastName   = '~'
)

// The reasons for which Parse rejects a message. They are variables so that malformed
// messages cost no allocation.
var (
	errEmpty       = malformed("empty message")
	errType        = malformed("unknown message type")
	errShortID     = malformed("message ends inside its id")
	errNoName      = malformed("name is missing")
	errShortName   = malformed("message ends inside its name")
	errPad         = malformed("pad byte before the UTF-16 payload is missing")
	errOdd         = malformed("UTF-16 payload of an odd length")
	errNoPayload   = malformed("payload is missing or too short")
	errTrailing    = malformed("bytes after the end of the message")
	errShortRef    = malformed("message ends inside its ref")
	errShortNumber = malformed("message ends inside its number")
	errShortHead   = malformed("message ends inside its head")
	errLongHead    = malformed("head is longer than 8 KiB")
	errHead        = malformed("head ends inside a field")
	errField       = malformed("field of a head does not have the form its tag requires")
	errLongName    = malformed("name is longer than 255 bytes")
	errNameBytes   = malformed("name has bytes outside 32 to 126")
	errNotInTables = malformed("the version has no message of this kind and encoding")
)

func malformed(reason string) error { return fmt.Errorf("%w: %s", ErrMalformed, reason) }

// Parse returns the message encoded in b. Its Payload.Data and Head alias b and are
// valid until b is changed. Parse allocates only for names that were not parsed recently.
//
// The error wraps ErrMalformed, or ErrVersion if v is unknown. The message returned
// with an error has the Kind if the type byte is known, the ID if the kind has one and b
// contains all of its bytes, and neither Name nor Payload.
//
// Parse is as lenient as the published parsers: names may contain any byte, the pad
// byte may have any value, and text is not checked. It checks every field of a head, but
// no payload: Message.Hello and the other methods that decode payloads do.
func (v Version) Parse(b []byte) (m Message, err error) {
	s := v.spec()
	if s == nil {
		return m, ErrVersion
	}
	if len(b) == 0 {
		return m, errEmpty
	}
	l := &s.byType[b[0]]
	m.Kind = l.kind
	if l.kind == 0 {
		return m, errType
	}
	pos := 1
	if l.id {
		if len(b) < idEnd {
			return m, errShortID
		}
		m.ID = ID(b[1:idEnd])
		pos = idEnd
	}
	switch {
	case l.start == noStart:
	case l.start == headStart && len(b)-pos >= headSize && b[pos]|b[pos+1] == 0: // an empty head
		pos += headSize
	case l.start == headStart:
		if m.Head, err = parseHead(b[pos:]); err != nil {
			return m, err
		}
		pos += headSize + len(m.Head)
	default:
		if pos, err = l.parseStart(&m, b, pos); err != nil {
			return m, err
		}
	}
	var name []byte
	if l.name != absent {
		if len(b) <= pos {
			return m, errNoName
		}
		size := int(b[pos])
		pos++
		if size > len(b)-pos {
			return m, errShortName
		}
		name = b[pos : pos+size]
		pos += size
	}
	if l.encoding == UTF16 {
		if pos%unitSize != 0 {
			if len(b) == pos {
				return m, errPad
			}
			pos++
		}
		if (len(b)-pos)%unitSize != 0 {
			return m, errOdd
		}
	}
	data := b[pos:]
	if l.payload == ignored {
		data = nil
	}
	if !l.fits(len(name), len(data)) {
		return m, l.fault(len(name), len(data))
	}
	m.Name = nameString(name)
	m.Payload.Encoding = l.encoding
	if len(data) > 0 {
		m.Payload.Data = data
	}
	return m, nil
}

// parseStart stores what is at b[pos:], before the name, in m and returns where it ends.
// Inlined it would slow down the messages that have no more than an id there.
//
//go:noinline
func (l *layout) parseStart(m *Message, b []byte, pos int) (int, error) {
	if l.ref {
		if len(b)-pos < refSize {
			return pos, errShortRef
		}
		m.Ref = binary.LittleEndian.Uint32(b[pos:])
		pos += refSize
	}
	if l.number {
		if len(b)-pos < numberSize {
			return pos, errShortNumber
		}
		m.Number = binary.LittleEndian.Uint64(b[pos:])
		pos += numberSize
		if m.Number > maxNumber {
			return pos, errNumber
		}
	}
	if l.head {
		head, err := parseHead(b[pos:])
		if err != nil {
			return pos, err
		}
		if len(head) > 0 {
			m.Head = head
		}
		pos += headSize + len(head)
	}
	if l.tooLong(len(b) - pos) { // where there is a limit there is no name
		return pos, errTrailing
	}
	return pos, nil
}

// Append appends the encoded message to dst and returns the extended slice. It does not
// allocate if dst has capacity for the head, the name, the payload and 17 more bytes (11
// before 3.0), except for a ReplyError in 1.2, which is JSON. m must not alias the free
// capacity of dst. ID, Ref, Number and Head are left out where messages of the kind do
// not have them in this version.
//
// If v cannot encode the message, Append returns dst unchanged and an error that wraps
// ErrMalformed. This is the case for a name longer than 255 bytes or with bytes outside
// 32 to 126; for a payload that is missing, not allowed, or of a size that its encoding
// or kind does not allow; for a head longer than 8 KiB or with a malformed field; for a
// Number of 2^53 or more; and for a kind that v does not have in that encoding. If v is
// unknown the error is ErrVersion.
func (v Version) Append(dst []byte, m Message) ([]byte, error) {
	s := v.spec()
	if s == nil {
		return dst, ErrVersion
	}
	if m.Kind >= kinds || m.Payload.Encoding >= encodings {
		return dst, errNotInTables
	}
	l := &s.byKind[m.Kind][m.Payload.Encoding]
	name, data := m.Name, m.Payload.Data
	if size := int(l.fixed) + padSize + len(m.Head) + len(name) + len(data); cap(dst)-len(dst) < size {
		return v.appendGrown(dst, m, size)
	}
	switch {
	case !l.fits(len(name), len(data)):
		if s.jsonErrors && l.kind == ReplyError && name != "" {
			return v.appendJSONError(dst, m)
		}
		return dst, l.fault(len(name), len(data))
	case l.encoding == UTF16 && len(data)%unitSize != 0:
		return dst, errOdd
	case len(name) > maxName:
		return dst, errLongName
	case !validName(name):
		return dst, errNameBytes
	}

	begin := len(dst)
	if l.start == longStart {
		var err error
		if dst, err = l.appendStart(dst, &m); err != nil {
			return dst, err
		}
	} else {
		if len(m.Head) > 0 && l.head {
			if err := m.Head.check(); err != nil {
				return dst, err
			}
		}
		dst = append(dst, l.typ)
		if l.id {
			dst = append(dst, m.ID[:]...)
		}
		if l.start == headStart {
			dst = append(dst, byte(len(m.Head)), byte(len(m.Head)>>8))
			dst = append(dst, m.Head...)
		}
	}
	if l.name != absent {
		dst = append(dst, uint8(len(name)))
		dst = append(dst, name...)
	}
	if l.encoding == UTF16 && (len(dst)-begin)%unitSize != 0 {
		dst = append(dst, 0)
	}
	return append(dst, data...), nil
}

// appendStart appends all that is before the name. Inlined it would slow down the messages
// that have no more than an id there.
//
//go:noinline
func (l *layout) appendStart(dst []byte, m *Message) ([]byte, error) {
	switch {
	case l.tooLong(len(m.Payload.Data)):
		return dst, errTrailing
	case l.number && m.Number > maxNumber:
		return dst, errNumber
	case l.head:
		if err := m.Head.check(); err != nil {
			return dst, err
		}
	}
	dst = append(dst, l.typ)
	if l.id {
		dst = append(dst, m.ID[:]...)
	}
	if l.ref {
		dst = binary.LittleEndian.AppendUint32(dst, m.Ref)
	}
	if l.number {
		dst = binary.LittleEndian.AppendUint64(dst, m.Number)
	}
	if l.head {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(m.Head)))
		dst = append(dst, m.Head...)
	}
	return dst, nil
}

// appendGrown is Append for a dst that may have too little room. Inlined it would slow
// down the calls that do not need it.
//
//go:noinline
func (v Version) appendGrown(dst []byte, m Message, size int) ([]byte, error) {
	b, err := v.Append(slices.Grow(dst, size), m)
	if err != nil {
		return dst, err
	}
	return b, nil
}

// validName reports whether every byte is one that names may have. It looks at
// eight bytes at a time, at some of the last ones twice.
func validName(name string) bool {
	b := unsafe.Slice(unsafe.StringData(name), len(name))
	if len(b) < 8 {
		for _, c := range b {
			if c < firstName || c > lastName {
				return false
			}
		}
		return true
	}
	bad := outside(b[len(b)-8:])
	for ; len(b) > 8; b = b[8:] {
		bad |= outside(b)
	}
	return bad == 0
}

// outside returns a bit for one of the first eight bytes that names may not have, and
// perhaps more bits; none if there is no such byte.
func outside(b []byte) uint64 {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	w := binary.LittleEndian.Uint64(b)
	// A byte's high bit ends up set if it was, if the byte is below firstName, or
	// if it is above lastName.
	return (w | (w - firstName*ones) | (w + (0x7f-lastName)*ones)) & highs
}
