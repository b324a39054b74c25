package stream

import (
	"encoding/binary"
	"errors"
	"math"
	"unicode/utf8"

	"github.com/webwire-go/webwire/transport"
)

// headerSize is the length of the word that every frame begins with.
const headerSize = 4

// maxMessage is the longest message that a header can announce.
const maxMessage = math.MaxInt32

// maxControl is the length of the longest body of a control frame.
const maxControl = 2 + transport.MaxReason

// controlBit tells control frames from messages.
const controlBit = 1 << 31

// An op says what a control frame asks for.
type op byte

const (
	opMessage op = iota // not a control frame
	opPing
	opPong
	opClose
)

// maxBody is the length of the longest body of each control frame. Its length is
// one more than the highest operation.
var maxBody = [...]int{opPing: 0, opPong: 0, opClose: maxControl}

var errFrame = errors.New("stream: malformed frame")

// appendHeader appends the header of a message of n bytes, n <= maxMessage.
func appendHeader(dst []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

// appendControl appends a control frame; body is at most maxControl bytes.
func appendControl(dst []byte, o op, body []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, controlBit|uint32(o)<<24|uint32(len(body)))
	return append(dst, body...)
}

// parseHeader returns what the first headerSize bytes of a frame announce.
func parseHeader(b []byte) (o op, length int, err error) {
	word := binary.BigEndian.Uint32(b)
	if word&controlBit == 0 {
		return opMessage, int(word), nil
	}
	o, length = op(word>>24&0x7f), int(word&0xff_ffff)
	if o == opMessage || int(o) >= len(maxBody) || length > maxBody[o] {
		return 0, 0, errFrame
	}
	return o, length, nil
}

// appendClose appends the body of a close frame.
func appendClose(dst []byte, status transport.Status, reason string) []byte {
	if status == transport.StatusNone {
		return dst
	}
	return append(binary.BigEndian.AppendUint16(dst, uint16(status)), reason...)
}

// parseClose is the inverse of appendClose.
func parseClose(body []byte) (transport.Status, string, error) {
	if len(body) == 0 {
		return transport.StatusNone, "", nil
	}
	if len(body) == 1 {
		return 0, "", errFrame
	}
	status, reason := transport.Status(binary.BigEndian.Uint16(body)), body[2:]
	if !status.Sendable() || !utf8.Valid(reason) {
		return 0, "", errFrame
	}
	return status, string(reason), nil
}
