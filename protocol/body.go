package protocol

import "encoding/binary"

// Some messages of 3.0 have a payload with a structure. For each there is a type XBody,
// with a method Message, and a method X of Message that returns it.

// maxNumber is the largest number that messages contain: JavaScript has no larger ones.
const maxNumber = 1<<53 - 1

var (
	errKind    = malformed("message of another kind")
	errNumber  = malformed("number is 2^53 or more")
	errValue   = malformed("value has no meaning")
	errLeast   = malformed("longest message is below 1 KiB")
	errResumes = malformed("hello is too short or too long for its flags")
)

// body returns the payload of a message of the kind, of a size that its layout allows.
func (m *Message) body(kind Kind) (fields, error) {
	l := &spec3_0.byKind[kind][Binary]
	switch {
	case m.Kind != kind || m.Payload.Encoding != Binary:
		return fields{}, errKind
	case !l.fits(len(m.Name), len(m.Payload.Data)):
		return fields{}, l.fault(len(m.Name), len(m.Payload.Data))
	case l.tooLong(len(m.Payload.Data)):
		return fields{}, errTrailing
	}
	return fields{rest: m.Payload.Data}, nil
}

// fields takes one field after the other off the front of a payload that has them.
type fields struct {
	rest []byte
	err  error // the first of the values that may not be
}

func (f *fields) take(n int) []byte {
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) u8() uint8   { return f.take(1)[0] }
func (f *fields) u16() uint16 { return binary.LittleEndian.Uint16(f.take(2)) }
func (f *fields) u32() uint32 { return binary.LittleEndian.Uint32(f.take(4)) }

// number returns eight bytes as a number below 2^53.
func (f *fields) number() uint64 {
	n := binary.LittleEndian.Uint64(f.take(8))
	f.require(n <= maxNumber, errNumber)
	return n
}

func (f *fields) require(ok bool, err error) {
	if !ok && f.err == nil {
		f.err = err
	}
}

func appendNumber(b []byte, n uint64) []byte {
	return binary.LittleEndian.AppendUint64(b, min(n, maxNumber))
}

func appendClamped32(b []byte, n int64) []byte {
	return binary.LittleEndian.AppendUint32(b, clamp32(n))
}

func appendClamped16(b []byte, n int) []byte {
	return binary.LittleEndian.AppendUint16(b, uint16(min(max(n, 0), 1<<16-1)))
}
