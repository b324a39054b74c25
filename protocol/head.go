package protocol

import (
	"bytes"
	"encoding/binary"
	"iter"
	"math"
	"strings"
	"time"
)

// Head is the fields of a message of 3.0 as they are on the wire: a tag of one byte,
// the length of the value in two bytes, the value (section 11.3). The zero Head has no
// fields. The tag of a field that is not metadata appears once; if it does not the
// first field counts.
//
// The methods that add a field append it to h and return the extended head, as append
// does. What cannot be a field makes a head that Version.Append rejects.
type Head []byte

// Tag says what a field of a Head means.
type Tag uint8

const (
	TagDeadline    Tag = 1
	TagTrace       Tag = 2
	TagTraceState  Tag = 3
	TagBaggage     Tag = 4
	TagStream      Tag = 5
	TagCredentials Tag = 6
	TagClient      Tag = 7

	TagMetadata Tag = 64  // the first of the tags of metadata, which senders use
	TagCritical Tag = 128 // the first of the tags that a receiver must know
)

// isMetadata reports whether fields with the tag are metadata of the application.
func (t Tag) isMetadata() bool { return t >= TagMetadata && t < TagCritical }

const (
	maxHead    = 8 << 10
	fieldStart = 3 // tag and length
)

// parseHead returns the head at the start of b, which begins with its length.
func parseHead(b []byte) (Head, error) {
	if len(b) < headSize {
		return nil, errShortHead
	}
	size := int(binary.LittleEndian.Uint16(b))
	b = b[headSize:]
	switch {
	case size > maxHead:
		return nil, errLongHead
	case size > len(b):
		return nil, errShortHead
	}
	h := Head(b[:size:size])
	if err := h.check(); err != nil {
		return nil, err
	}
	return h, nil
}

// check returns what is wrong with h, nil if nothing is.
func (h Head) check() error {
	if len(h) > maxHead {
		return errLongHead
	}
	for len(h) > 0 {
		tag, value, rest, ok := h.next()
		switch {
		case !ok:
			return errHead
		case tag == TagDeadline: // most heads have nothing else, so it does not wait for a call
			if len(value) != deadlineSize {
				return errField
			}
		case !tag.allows(value):
			return errField
		}
		h = rest
	}
	return nil
}

// allows reports whether a field with the tag may have the value.
func (t Tag) allows(value []byte) bool {
	switch {
	case t == TagTrace:
		return len(value) == traceSize
	case t == TagStream:
		return len(value) == 0
	case t == TagClient || t.isMetadata():
		return bytes.IndexByte(value, 0) > 0
	}
	return true
}

// next splits the first field off. It returns false if h does not begin with one.
func (h Head) next() (tag Tag, value []byte, rest Head, ok bool) {
	if len(h) < fieldStart {
		return 0, nil, nil, false
	}
	end := fieldStart + int(binary.LittleEndian.Uint16(h[1:]))
	if end > len(h) {
		return 0, nil, nil, false
	}
	return Tag(h[0]), h[fieldStart:end:end], h[end:], true
}

// Fields returns an iterator over the fields. The values alias h.
func (h Head) Fields() iter.Seq2[Tag, []byte] {
	return func(yield func(Tag, []byte) bool) {
		for {
			tag, value, rest, ok := h.next()
			if !ok || !yield(tag, value) {
				return
			}
			h = rest
		}
	}
}

// Field returns the value of the first field with the tag, and whether there is one.
// The value aliases h.
func (h Head) Field(tag Tag) (value []byte, ok bool) {
	for {
		t, value, rest, ok := h.next()
		if !ok || t == tag {
			return value, ok
		}
		h = rest
	}
}

// Append adds a field with any tag and value.
func (h Head) Append(tag Tag, value []byte) Head {
	return append(h.begin(tag, len(value)), value...)
}

// begin adds the start of a field. A value whose length cannot be said makes the head too
// long anyway.
func (h Head) begin(tag Tag, size int) Head {
	size = min(size, math.MaxUint16)
	return append(h, byte(tag), byte(size), byte(size>>8))
}

// Unsupported returns the first tag that a receiver must know and this package does
// not, and whether there is one. A message with such a field is not acted on (section
// 11.3).
func (h Head) Unsupported() (Tag, bool) {
	for {
		tag, _, rest, ok := h.next()
		if !ok || tag >= TagCritical {
			return tag, ok
		}
		h = rest
	}
}

const deadlineSize = 4

// AppendDeadline adds for how long, from its arrival, the sender waits for the outcome of
// the message. It is rounded up to milliseconds; at most 2^32-1 of them can be said.
func (h Head) AppendDeadline(d time.Duration) Head {
	ms := d / time.Millisecond
	if d > ms*time.Millisecond {
		ms++
	}
	n := clamp32(int64(ms))
	return append(h, byte(TagDeadline), deadlineSize, 0, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
}

// Deadline returns what AppendDeadline added, and whether there is a deadline.
func (h Head) Deadline() (time.Duration, bool) {
	value, ok := h.Field(TagDeadline)
	if !ok || len(value) != deadlineSize {
		return 0, false
	}
	return time.Duration(binary.LittleEndian.Uint32(value)) * time.Millisecond, true
}

// AppendTraceState adds the value of the W3C header tracestate.
func (h Head) AppendTraceState(text string) Head { return h.appendText(TagTraceState, text) }

// TraceState returns what AppendTraceState added, or "".
func (h Head) TraceState() string { return h.text(TagTraceState) }

// AppendBaggage adds the value of the W3C header baggage.
func (h Head) AppendBaggage(text string) Head { return h.appendText(TagBaggage, text) }

// Baggage returns what AppendBaggage added, or "".
func (h Head) Baggage() string { return h.text(TagBaggage) }

// AppendStream says that the sender of a request takes a streamed reply.
func (h Head) AppendStream() Head { return h.Append(TagStream, nil) }

// Stream reports whether the sender of the request takes a streamed reply.
func (h Head) Stream() bool {
	_, ok := h.Field(TagStream)
	return ok
}

// AppendCredentials adds what proves who the client is: 8 KiB at most, less what the
// other fields of the head take.
func (h Head) AppendCredentials(credentials []byte) Head {
	return h.Append(TagCredentials, credentials)
}

// Credentials returns what AppendCredentials added, and whether there is anything.
// They alias h.
func (h Head) Credentials() ([]byte, bool) { return h.Field(TagCredentials) }

// AppendClient adds the name and the version of the client's software. The name has at
// least one byte and does not contain NUL.
func (h Head) AppendClient(name, version string) Head {
	return h.appendPair(TagClient, name, version)
}

// Client returns what AppendClient added, or two empty strings.
func (h Head) Client() (name, version string) {
	value, _ := h.Field(TagClient)
	key, rest, _ := bytes.Cut(value, nul)
	return string(key), string(rest)
}

// AppendMetadata adds an entry of the application's metadata. The key has at least one
// byte and does not contain NUL; keys may repeat.
func (h Head) AppendMetadata(key, value string) Head {
	return h.appendPair(TagMetadata, key, value)
}

// Metadata returns an iterator over the application's metadata, in the order in which
// it was added. Keys and values alias h.
func (h Head) Metadata() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		for {
			tag, value, rest, ok := h.next()
			if !ok {
				return
			}
			if key, value, ok := bytes.Cut(value, nul); ok && tag.isMetadata() && !yield(key, value) {
				return
			}
			h = rest
		}
	}
}

var nul = []byte{0}

// appendPair adds a field of two texts with a NUL in between.
func (h Head) appendPair(tag Tag, key, value string) Head {
	if strings.Contains(key, string(nul)) {
		return h.Append(tag, nil) // which Version.Append rejects, as it does an empty key
	}
	h = h.begin(tag, len(key)+len(nul)+len(value))
	h = append(append(h, key...), nul...)
	return append(h, value...)
}

func (h Head) appendText(tag Tag, text string) Head {
	return append(h.begin(tag, len(text)), text...)
}

func (h Head) text(tag Tag) string {
	value, _ := h.Field(tag)
	return string(value)
}
