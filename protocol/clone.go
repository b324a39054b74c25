package protocol

import "unsafe"

// Clone returns a copy of m that shares no memory with it. The copy is stored in
// space from its start on if that suffices, and in new memory otherwise.
func (m Message) Clone(space []byte) Message {
	size := len(m.Name) + len(m.Payload.Data)
	if size > cap(space) {
		space = make([]byte, 0, size)
	}
	space = append(append(space[:0], m.Name...), m.Payload.Data...)
	if n := len(m.Name); n > 0 {
		m.Name = unsafe.String(&space[0], n)
	}
	if n := len(m.Name); size > n {
		// Appending to the payload must not overwrite what space holds behind it.
		m.Payload.Data = space[n:size:size]
	} else {
		m.Payload.Data = nil
	}
	return m
}
