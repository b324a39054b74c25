package stream

import (
	"encoding/binary"
	"math"

	"github.com/webwire-go/webwire/internal/framed"
)

// headerSize is the length of the word that every frame begins with.
const headerSize = 4

// maxMessage is the longest message that a header can announce.
const maxMessage = math.MaxInt32

// controlBit tells control frames from messages.
const controlBit = 1 << 31

// maxBody is the length of the longest body of each control frame, whose operation
// has the number of its framed.Op. Its length is one more than the highest one.
var maxBody = [...]int{framed.OpPing: 0, framed.OpPong: 0, framed.OpClose: framed.MaxControl}

// appendHeader appends the header of a message of n bytes, n <= maxMessage.
func appendHeader(dst []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

// appendControl appends a control frame, whose body may be that long.
func appendControl(dst []byte, o framed.Op, body []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, controlBit|uint32(o)<<24|uint32(len(body)))
	return append(dst, body...)
}

// parseHeader returns what the first headerSize bytes of a frame announce, and
// whether there are such frames.
func parseHeader(b []byte) (o framed.Op, length int, ok bool) {
	word := binary.BigEndian.Uint32(b)
	if word&controlBit == 0 {
		return framed.OpMessage, int(word), true
	}
	o, length = framed.Op(word>>24&0x7f), int(word&0xff_ffff)
	return o, length, o != framed.OpMessage && int(o) < len(maxBody) && length <= maxBody[o]
}
