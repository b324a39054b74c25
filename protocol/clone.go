package protocol

import "slices"

// Clone returns a copy of m that does not share its payload with m. The payload is
// stored at the start of space if space has the capacity, and in new memory otherwise.
// Appending to it does not overwrite the rest of space.
func (m Message) Clone(space []byte) Message {
	if len(m.Payload.Data) == 0 {
		m.Payload.Data = nil
		return m
	}
	m.Payload.Data = slices.Clip(append(space[:0], m.Payload.Data...))
	return m
}
