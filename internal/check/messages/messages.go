// Package messages makes one input of a fuzz target of many messages.
package messages

import "encoding/binary"

// Join joins messages, each after its length, of which only the lower 16 bits are kept.
func Join(msgs ...[]byte) (data []byte) {
	for _, m := range msgs {
		data = append(binary.LittleEndian.AppendUint16(data, uint16(len(m))), m...)
	}
	return data
}

// Split is the reverse of Join, for any bytes: the last message ends with them. The messages
// share memory with data.
func Split(data []byte) (msgs [][]byte) {
	for len(data) > 2 {
		n := min(int(binary.LittleEndian.Uint16(data)), len(data)-2)
		msgs, data = append(msgs, data[2:2+n]), data[2+n:]
	}
	return msgs
}
