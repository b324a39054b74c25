package protocol

import "encoding/hex"

// TraceContext says to which trace a message belongs, as W3C Trace Context defines it.
// The zero TraceContext is none.
type TraceContext struct {
	TraceID [16]byte
	SpanID  [8]byte // of the sender
	Flags   byte    // bit 0: sampled
}

const (
	traceSize       = 16 + 8 + 1
	traceparentSize = 2 + 1 + 32 + 1 + 16 + 1 + 2
	traceEnd        = 3 + 32
	spanStart       = traceEnd + 1
	spanEnd         = spanStart + 16
	flagsStart      = spanEnd + 1
)

var errTraceparent = malformed("text is no traceparent")

// Valid reports whether t has both ids: neither is all zeros.
func (t TraceContext) Valid() bool { return t.TraceID != [16]byte{} && t.SpanID != [8]byte{} }

// ParseTraceparent returns what a W3C header traceparent says. Of a version of the
// header above 00 it reads what 00 defines. The error wraps ErrMalformed.
func ParseTraceparent(text string) (t TraceContext, err error) {
	if len(text) < traceparentSize || text[2] != '-' || text[traceEnd] != '-' || text[spanEnd] != '-' {
		return TraceContext{}, errTraceparent
	}
	var version [1]byte
	var flags [1]byte
	ok := unhex(version[:], text) && unhex(t.TraceID[:], text[3:]) &&
		unhex(t.SpanID[:], text[spanStart:]) && unhex(flags[:], text[flagsStart:])
	t.Flags = flags[0]
	switch {
	case !ok, !t.Valid(), version[0] == 0xff,
		len(text) > traceparentSize && (version[0] == 0 || text[traceparentSize] != '-'):
		return TraceContext{}, errTraceparent
	}
	return t, nil
}

// unhex fills dst with what the lower-case digits at the start of text stand for, and
// reports whether there are enough of them.
func unhex(dst []byte, text string) bool {
	for i := range dst {
		high, low := digit(text[2*i]), digit(text[2*i+1])
		if high > 15 || low > 15 {
			return false
		}
		dst[i] = high<<4 | low
	}
	return true
}

func digit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// String returns t as a W3C header traceparent of version 00.
func (t TraceContext) String() string {
	b := make([]byte, 0, traceparentSize)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, t.TraceID[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, t.SpanID[:])
	b = append(b, '-')
	return string(hex.AppendEncode(b, []byte{t.Flags}))
}

// AppendTrace adds the trace context of the message.
func (h Head) AppendTrace(t TraceContext) Head {
	var value [traceSize]byte
	copy(value[:], t.TraceID[:])
	copy(value[16:], t.SpanID[:])
	value[24] = t.Flags
	return h.Append(TagTrace, value[:])
}

// Trace returns what AppendTrace added, and whether there is a valid trace context.
func (h Head) Trace() (t TraceContext, ok bool) {
	value, ok := h.Field(TagTrace)
	if !ok || len(value) != traceSize {
		return TraceContext{}, false
	}
	t = TraceContext{[16]byte(value), [8]byte(value[16:]), value[24]}
	if !t.Valid() {
		return TraceContext{}, false
	}
	return t, true
}
