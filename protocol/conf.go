package protocol

import (
	"encoding/binary"
	"math"
	"time"
)

// Conf is the payload of AcceptConf, the first message that a server sends to a 2.0
// client (section 7.1).
type Conf struct {
	Version     Version
	ReadTimeout time.Duration // the server closes the connection if the client is silent for longer; whole milliseconds, at most 2^32-1
	MessageSize int           // maximum length of a message of either side, in bytes; zero: no limit
	SubProtocol string        // the name of the application's own protocol; usually empty
}

const confSize = 10

// Message returns the AcceptConf message with c. Values that are too large for their
// field are replaced by the largest possible ones, negative values by zero.
func (c Conf) Message() Message {
	data := make([]byte, confSize, confSize+len(c.SubProtocol))
	binary.BigEndian.PutUint16(data, uint16(c.Version))
	binary.LittleEndian.PutUint32(data[2:], clamp32(c.ReadTimeout.Milliseconds()))
	binary.LittleEndian.PutUint32(data[6:], clamp32(int64(c.MessageSize)))
	return Message{Kind: AcceptConf, Payload: Bytes(append(data, c.SubProtocol...))}
}

// Conf decodes an AcceptConf message. The error wraps ErrMalformed.
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
