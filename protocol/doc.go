// Package protocol is the codec of the WebWire protocol in all of its published
// versions. It knows nothing of connections, needs only the standard library and
// can be vendored alone; PROTOCOL.md beside it is the specification.
//
// A [Version] parses and appends messages:
//
//	msg, err := protocol.V1_2.Parse(received)
//
//	buf, err = protocol.V1_2.Append(buf[:0], protocol.Message{
//		Kind:    protocol.Request,
//		ID:      protocol.NewID(1),
//		Name:    "chat.say",
//		Payload: protocol.Text("hello"),
//	})
//
// A [Message] has a [Kind] and a [Payload] with an [Encoding] in every version;
// [Failure] and [Message.Err] translate errors to replies and back.
//
// All values may be used by several goroutines as long as none of them changes
// them.
package protocol
