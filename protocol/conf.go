package protocol

import (
	"encoding/binary"
	"math"
	"time"
)

// Conf is what the server tells a 2.0 client before anything else, the payload of
// AcceptConf (section 7.1).
type Conf struct {
	Version     Version
	ReadTimeout time.Duration // after so much silence of the client the server hangs up; whole milliseconds, at most 2^32-1
	MessageSize int           // the longest message either side may send, in bytes; zero: no limit
	SubProtocol string        // what the application calls its own protocol; usually empty
}

const confSize = 10

// Message returns the message that carries c. Values that do not fit become the
// largest that do.
func (c Conf) Message() Message {
	data := make([]byte, confSize, confSize+len(c.SubProtocol))
	binary.BigEndian.PutUint16(data, uint16(c.Version))
	binary.LittleEndian.PutUint32(data[2:], clamp32(c.ReadTimeout.Milliseconds()))
	binary.LittleEndian.PutUint32(data[6:], clamp32(int64(c.MessageSize)))
	return Message{Kind: AcceptConf, Payload: Bytes(append(data, c.SubProtocol...))}
}

// Conf returns what an AcceptConf message carries. The error wraps ErrMalformed.
func (m Message) Conf() (Conf, error) {
	data := m.Payload.Data
	if m.Kind != AcceptConf || len(data) < confSize {
		return Conf{}, malformed(m.Kind.String() + " is not an accept-conf")
	}
	return Conf{
		Version:     Version(binary.BigEndian.Uint16(data)),
		ReadTimeout: time.Duration(binary.LittleEndian.Uint32(data[2:])) * time.Millisecond,
		MessageSize: int(min(int64(binary.LittleEndian.Uint32(data[6:])), math.MaxInt)),
		SubProtocol: string(data[confSize:]),
	}, nil
}

func clamp32(n int64) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) }
