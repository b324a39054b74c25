// Package protocol encodes and decodes the messages of all versions of the WebWire
// protocol. It does no I/O and imports only the standard library.
// PROTOCOL.md in its directory is the specification.
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
// In every version a [Message] has a [Kind] and a [Payload] with an [Encoding].
// [Version.Failure] converts an error to a reply, and [Message.Err] converts
// a reply to an error.
//
// Messages of [V3_0] have a [Head], which carries deadlines, trace contexts and metadata;
// its control messages have types such as [HelloBody] for their payloads.
//
// Values of all types may be used by several goroutines at once, as long as none of
// the goroutines changes them.
package protocol
