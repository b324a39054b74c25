package protocol

import "encoding/binary"

// Part is a run of bytes of a message that belong together.
type Part struct {
	// Name is "type", "id", "ref", "number", "head length", "head", "name length", "name",
	// "pad" or "payload", or "rest" for bytes that belong to none of these.
	Name  string
	Bytes []byte // at least one
}

// Parts splits a message into its parts, for tools that show them. All bytes of b are in
// exactly one part, in their order; the parts alias b. Parts does not check values: a
// message that Parse rejects has parts up to the place where it cannot be read on, and the
// last one may be shorter than it should be. If v is unknown, or has no message of the
// type, the parts are the type and the rest.
func (v Version) Parts(b []byte) (parts []Part) {
	take := func(name string, size int) []byte {
		part := b[:min(size, len(b))]
		if len(part) > 0 {
			parts = append(parts, Part{name, part})
		}
		b = b[len(part):]
		return part
	}
	offset := len(b)
	typ := take("type", 1)
	s := v.spec()
	if s == nil || len(typ) == 0 || s.byType[typ[0]].kind == 0 {
		take("rest", len(b))
		return parts
	}
	l := &s.byType[typ[0]]
	if l.id {
		take("id", idSize)
	}
	if l.ref {
		take("ref", refSize)
	}
	if l.number {
		take("number", numberSize)
	}
	if l.head {
		if size := take("head length", headSize); len(size) == headSize {
			take("head", int(binary.LittleEndian.Uint16(size)))
		}
	}
	if l.name != absent {
		if size := take("name length", 1); len(size) == 1 {
			take("name", int(size[0]))
		}
	}
	if l.encoding == UTF16 && (offset-len(b))%unitSize != 0 {
		take("pad", padSize)
	}
	if l.payload > ignored {
		take("payload", len(b))
	}
	take("rest", len(b))
	return parts
}
