package protocol

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

const (
	idSize    = 8
	idEnd     = 1 + idSize
	maxName   = 255
	unitSize  = 2 // of UTF-16, in bytes
	firstName = ' '
	lastName  = '~'
)

// The reasons for which Parse rejects a message. They are values because hostile
// peers must not cost an allocation each.
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

// Parse returns the message that b holds. Its Name and Payload.Data alias b: they
// are valid as long as b is and not changed. Parse does not allocate.
//
// The error wraps ErrMalformed, or ErrVersion if v is unknown. The message then
// has what could be told: the Kind if the type byte is known, and the ID if the
// kind has one and all of its bytes are there.
//
// Parse is as lenient as the published parsers: names may contain any byte, the
// pad byte may have any value, and text is not checked.
func (v Version) Parse(b []byte) (Message, error) {
	s := v.spec()
	if s == nil {
		return Message{}, ErrVersion
	}
	if len(b) == 0 {
		return Message{}, errEmpty
	}
	l := &s.layouts[b[0]]
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
		if size == 0 && l.name == required {
			return m, errNoName
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
	if err := l.checkPayload(len(data), len(name)); err != nil {
		return m, err
	}
	if len(name) > 0 {
		m.Name = unsafe.String(&name[0], len(name))
	}
	m.Payload.Encoding = l.encoding
	if len(data) > 0 && l.payload != ignored {
		m.Payload.Data = data
	}
	return m, nil
}

// checkPayload says whether a message with so much name may have so much payload.
func (l *layout) checkPayload(size, name int) error {
	switch {
	case size < int(l.least):
		return errNoPayload
	case size > 0:
		if l.payload == absent {
			return errTrailing
		}
	case l.payload == required, l.payload == orName && name == 0:
		return errNoPayload
	}
	return nil
}

// Append appends the message to dst and returns the extended slice. It does not
// allocate beyond what dst needs to grow, except for the JSON of a ReplyError
// in 1.2. If the message breaks a rule of the version Append returns dst as it
// was, and an error that wraps ErrMalformed: a name over 255 bytes or with bytes
// outside 32 to 126, a payload missing where there must be one or of a size its
// encoding does not allow, a kind that the version does not have.
func (v Version) Append(dst []byte, m Message) ([]byte, error) {
	s := v.spec()
	if s == nil {
		return dst, ErrVersion
	}
	if s.jsonErrors && m.Kind == ReplyError && m.Name != "" {
		m = jsonError(m)
	}
	if m.Kind >= kinds || m.Payload.Encoding >= encodings || s.types[m.Kind][m.Payload.Encoding] == 0 {
		return dst, errNotInTables
	}
	typ := uint8(s.types[m.Kind][m.Payload.Encoding] - 1)
	l := &s.layouts[typ]

	data := m.Payload.Data
	if err := l.checkPayload(len(data), len(m.Name)); err != nil {
		return dst, err
	}
	if m.Payload.Encoding == UTF16 && len(data)%unitSize != 0 {
		return dst, errOdd
	}
	if err := checkName(m.Name, l.name); err != nil {
		return dst, err
	}

	start := len(dst)
	dst = append(dst, typ)
	if l.id {
		dst = append(dst, m.ID[:]...)
	}
	if l.name != absent {
		dst = append(dst, uint8(len(m.Name)))
		dst = append(dst, m.Name...)
	}
	if m.Payload.Encoding == UTF16 && (len(dst)-start)%unitSize != 0 {
		dst = append(dst, 0)
	}
	return append(dst, data...), nil
}

// checkName says whether a message whose name is a segment of that sort may have
// this name. It looks at eight bytes at a time.
func checkName(name string, sort segment) error {
	if name == "" {
		if sort == required {
			return errNoName
		}
		return nil
	}
	switch {
	case sort == absent:
		return errTrailing
	case len(name) > maxName:
		return errLongName
	}
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	b := unsafe.Slice(unsafe.StringData(name), len(name))
	for ; len(b) >= 8; b = b[8:] {
		w := binary.LittleEndian.Uint64(b)
		// A byte's high bit ends up set if it was, if the byte is below
		// firstName, or if it is above lastName.
		if (w|(w-firstName*ones)|(w+(0x7f-lastName)*ones))&highs != 0 {
			return errNameBytes
		}
	}
	for _, c := range b {
		if c < firstName || c > lastName {
			return errNameBytes
		}
	}
	return nil
}
