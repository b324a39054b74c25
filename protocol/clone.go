package protocol

import "slices"

// Clone returns a copy of m with a payload of its own, which is stored in space from
// its start on if that suffices, and in new memory otherwise. Appending
// to it does not overwrite what space holds behind it.
func (m Message) Clone(space []byte) Message {
	if len(m.Payload.Data) == 0 {
		m.Payload.Data = nil
		return m
	}
	m.Payload.Data = slices.Clip(append(space[:0], m.Payload.Data...))
	return m
}
