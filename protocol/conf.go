package protocol

import (
	"encoding/binary"
	"math"
	"time"
)

// Conf is the payload of AcceptConf, the first message that a server sends to a client
// of 2.0 or 3.0 (sections 7.1 and 11.4).
type Conf struct {
	Version     Version
	ReadTimeout time.Duration // the server closes the connection if the client is silent for longer; whole milliseconds, at most 2^32-1
	MessageSize int           // maximum length of a message of either side, in 3.0 of the client, in bytes; zero: no limit
	SubProtocol string        // the name of the application's own protocol; usually empty

	// In 3.0 a MessageSize other than zero is at least 1024, and there are:

	StreamCredit int // the first limit of each streamed reply to the server, in bytes
	Requests     int // maximum number of the client's requests at once, at most 65535
}

const (
	confSize  = 10
	confSize3 = confSize + 4 + 2
)

// Message returns the AcceptConf message with c, in the form of c.Version. Values that
// are out of range are replaced by the nearest possible ones.
func (c Conf) Message() Message {
	b := make([]byte, 0, confSize3+len(c.SubProtocol))
	b = binary.BigEndian.AppendUint16(b, uint16(c.Version))
	b = appendClamped32(b, c.ReadTimeout.Milliseconds())
	if c.Version.Major() != 3 {
		b = appendClamped32(b, int64(c.MessageSize))
	} else {
		b = appendClamped32(b, leastOrNone(c.MessageSize))
		b = appendClamped32(b, int64(c.StreamCredit))
		b = appendClamped16(b, c.Requests)
	}
	return Message{Kind: AcceptConf, Payload: Bytes(append(b, c.SubProtocol...))}
}

// Conf decodes an AcceptConf message, in the form of the version that it contains, or in
// that of 2.0 if it is too short for 3.0: a client of 2.0 learns the version of a server
// that it cannot speak to. The error wraps ErrMalformed.
func (m Message) Conf() (Conf, error) {
	f := fields{rest: m.Payload.Data}
	if m.Kind != AcceptConf || len(f.rest) < confSize {
		return Conf{}, malformed(m.Kind.String() + " is not an accept-conf")
	}
	c := Conf{Version: Version(binary.BigEndian.Uint16(f.take(2))), ReadTimeout: f.millis()}
	switch {
	case c.Version.Major() != 3, len(m.Payload.Data) < confSize3: // V3_0.Parse rejects a short one
		c.MessageSize = f.int()
	default:
		c.MessageSize = f.size()
		c.StreamCredit = f.int()
		c.Requests = int(f.u16())
	}
	if f.err != nil {
		return Conf{}, f.err
	}
	c.SubProtocol = string(f.rest)
	return c, nil
}

func clampInt(n uint32) int { return int(min(int64(n), math.MaxInt)) }

func clamp32(n int64) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) }
