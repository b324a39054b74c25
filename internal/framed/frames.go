package framed

// An Op says what a frame is for. Its number is that of transport/stream.
type Op byte

const (
	OpMessage Op = iota // or a fragment of one: no control frame
	OpPing
	OpPong
	OpClose
)

// MaxControl is the length of the longest payload of a control frame.
const MaxControl = 125

// maxHeader is the length of the longest header, that of a WebSocket frame.
const maxHeader = 14

// Frames is what a Conn has to know of the frames of its transport. None of it is
// used for a message.
type Frames interface {
	// NextFrame takes the next frame out of the Reader: the header of a message,
	// all of a control frame, whose payload is valid until the next call.
	NextFrame() (op Op, payload []byte, err error)

	// AppendControl appends a control frame.
	AppendControl(dst []byte, op Op, payload []byte) []byte
}
