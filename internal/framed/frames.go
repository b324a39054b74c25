package framed

// An Op is the kind of a frame. Its values are the operations of transport/stream.
type Op byte

const (
	OpMessage Op = iota // a message or a fragment of one, that is, no control frame
	OpPing
	OpPong
	OpClose
)

// MaxControl is the maximum length of the payload of a ping, pong or close, in bytes.
const MaxControl = 125

// maxHeader is the maximum length of a header: that of a WebSocket frame.
const maxHeader = 14

// Frames is the part of a transport that a Conn needs to know about its frames. It is not
// used to read or write messages.
type Frames interface {
	// NextFrame takes the next frame from the Reader: only the header of a message, or
	// an entire control frame, whose payload is valid until the next call.
	NextFrame() (op Op, payload []byte, err error)

	// AppendControl appends a control frame to dst and returns the result.
	AppendControl(dst []byte, op Op, payload []byte) []byte
}
