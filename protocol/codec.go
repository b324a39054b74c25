package protocol

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unsafe"
)

const (
	idSize    = 8
	idEnd     = 1 + idSize
	maxHead   = idEnd + 2 // bytes besides name and payload: type, id, length of the name, pad
	maxName   = 255
	unitSize  = 2 // of UTF-16, in bytes
	firstName = ' '
	lastName  = '~'
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
	errLongName    = malformed("name is longer than 255 bytes")
	errNameBytes   = malformed("name has bytes outside 32 to 126")
	errNotInTables = malformed("the version has no message of this kind and encoding")
)

func malformed(reason string) error { return fmt.Errorf("%w: %s", ErrMalformed, reason) }

// Parse returns the message encoded in b. Its Payload.Data aliases b and is valid until
// b is changed. Parse allocates only for names that were not parsed recently.
//
// The error wraps ErrMalformed, or ErrVersion if v is unknown. The message returned
// with an error has the Kind if the type byte is known, and the ID if the kind has one
// and b contains all of its bytes.
//
// Parse is as lenient as the published parsers: names may contain any byte, the pad
// byte may have any value, and text is not checked.
func (v Version) Parse(b []byte) (Message, error) {
	s := v.spec()
	if s == nil {
		return Message{}, ErrVersion
	}
	if len(b) == 0 {
		return Message{}, errEmpty
	}
	l := &s.byType[b[0]]
	m := Message{Kind: l.kind}
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

// Append appends the encoded message to dst and returns the extended slice. It does not
// allocate if dst has capacity for the name, the payload and 11 more bytes, except for
// a ReplyError in 1.2, which is JSON. m must not alias the free capacity of dst.
//
// If v cannot encode the message, Append returns dst unchanged and an error that wraps
// ErrMalformed. This is the case for a name longer than 255 bytes or with bytes outside
// 32 to 126; for a payload that is missing, not allowed, or of a size that its encoding
// does not allow; and for a kind that v does not have in that encoding. If v is unknown
// the error is ErrVersion.
func (v Version) Append(dst []byte, m Message) ([]byte, error) {
	s := v.spec()
	if s == nil {
		return dst, ErrVersion
	}
	if m.Kind >= kinds || m.Payload.Encoding >= encodings {
		return dst, errNotInTables
	}
	if cap(dst)-len(dst) < maxHead+len(m.Name)+len(m.Payload.Data) {
		return v.appendGrown(dst, m)
	}
	l := &s.byKind[m.Kind][m.Payload.Encoding]
	name, data := m.Name, m.Payload.Data
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

	dst = append(dst, l.typ)
	if l.id {
		dst = append(dst, m.ID[:]...)
	}
	if l.name != absent {
		dst = append(dst, uint8(len(name)))
		dst = append(dst, name...)
	}
	if l.encoding == UTF16 && (int(l.fixed)+len(name))%unitSize != 0 {
		dst = append(dst, 0)
	}
	return append(dst, data...), nil
}

// appendGrown is Append for a dst that may have too little room. Inlined it would slow
// down the calls that do not need it.
//
//go:noinline
func (v Version) appendGrown(dst []byte, m Message) ([]byte, error) {
	b, err := v.Append(slices.Grow(dst, maxHead+len(m.Name)+len(m.Payload.Data)), m)
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
