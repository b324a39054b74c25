package protocol

import "slices"

// Clone returns a copy of m that does not share its payload and head with m. They are
// stored at the start of space if space has the capacity, and in new memory otherwise.
// Appending to them does not overwrite the rest of space.
func (m Message) Clone(space []byte) Message {
	data, head := m.Payload.Data, m.Head
	m.Payload.Data, m.Head = nil, nil
	if len(data)+len(head) == 0 {
		return m
	}
	b := append(slices.Grow(space[:0], len(data)+len(head)), data...)
	if len(head) > 0 {
		b = append(b, head...)
		m.Head = slices.Clip(Head(b[len(data):]))
	}
	if len(data) > 0 {
		m.Payload.Data = b[:len(data):len(data)]
	}
	return m
}
