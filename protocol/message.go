package protocol

import (
	"encoding/binary"
	"encoding/hex"
)

// Message is a message of any version. The comment of each Kind lists the fields that
// it uses; the others are zero. The type byte on the wire is computed from Kind and
// Payload.Encoding.
type Message struct {
	Kind    Kind
	ID      ID
	Ref     uint32 // the subscription; 3.0
	Name    string
	Payload Payload
	Head    Head   // 3.0
	Number  uint64 // below 2^53; 3.0

	// Its size is a multiple of 16, because Go copies a structure in steps of 16 bytes,
	// and one that overlaps another is slow.
}

// ID matches replies to requests. The end that sends the request chooses its bytes, and
// the other returns them unchanged.
type ID [8]byte

// NewID returns the ID whose bytes are n in little-endian order.
func NewID(n uint64) (id ID) {
	binary.LittleEndian.PutUint64(id[:], n)
	return id
}

// Uint64 returns the number from which NewID makes the ID.
func (id ID) Uint64() uint64 { return binary.LittleEndian.Uint64(id[:]) }

// String returns the bytes as hexadecimal digits, in the order on the wire.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Kind is the purpose of a message. The zero Kind stands for none.
type Kind uint8

const (
	_ Kind = iota

	Request        // expects a reply: ID, Head, Name, Payload
	CloseSession   // asks the server to close the session, expects a reply: ID
	RestoreSession // asks for the session with a key, expects a reply: ID, Payload (the key, UTF-8)
	Heartbeat      // shows that the client is alive; 1.5 and 2.0
	Signal         // expects no reply: Head, Name, Payload

	Reply                 // the request succeeded: ID, Head, Payload
	ReplyError            // the application refused the request: ID, Name (the code), Payload (the message, UTF-8)
	ReplyShutdown         // not executed because the server is shutting down: ID; before 3.0
	ReplyInternalError    // the handler failed: ID; before 3.0
	ReplySessionNotFound  // no session has the key: ID; before 3.0
	ReplySessionFull      // the session has its maximum number of connections: ID; before 3.0
	ReplySessionsDisabled // the server has sessions disabled: ID; before 3.0
	ReplyProtocolError    // the request was malformed: ID; 1.4 and 1.5
	ReplyFailure          // any other outcome than Reply and ReplyError: ID, Payload (binary, see FailureError); 3.0

	SessionCreated // the connection has a new session: Payload (UTF-8, see Version.AppendSession)
	SessionClosed  // the connection's session is closed
	AcceptConf     // opens a connection: Payload (binary, see Conf); 2.0 and 3.0

	// The following are new in 3.0. Their payloads are binary, except those of Item and
	// Publication, which are the application's.

	Hello       // opens a socket, resumes a connection: Head, Payload (see HelloBody)
	Welcome     // answers Hello: Payload (see WelcomeBody)
	Ack         // tells how many counted messages have arrived: Number
	Cancel      // the outcome of a request is not needed: ID, Payload (see CancelBody)
	Credit      // allows more items of a streamed reply: ID, Number (see ItemOverhead)
	Drain       // asks the client to move to another server: Payload (see DrainBody)
	Gap         // messages are lost: Ref, Payload (see GapBody)
	Item        // a part of a streamed reply: ID, Payload
	Subscribe   // asks for the publications of a topic, expects a reply: ID, Ref, Payload (see SubscribeBody)
	Unsubscribe // ends a subscription: Ref
	Publication // a signal of a topic: Ref, Number (the offset in the topic), Head, Name, Payload
	Presence    // tells of other subscribers of a topic: Ref, Payload (see PresenceBody)

	kinds
)

var kindNames = [kinds]string{
	Request: "request", CloseSession: "close session", RestoreSession: "restore session",
	Heartbeat: "heartbeat", Signal: "signal", Reply: "reply", ReplyError: "error reply",
	ReplyShutdown: "shutdown reply", ReplyInternalError: "internal error reply",
	ReplySessionNotFound: "session not found reply", ReplySessionFull: "session full reply",
	ReplySessionsDisabled: "sessions disabled reply", ReplyProtocolError: "protocol error reply",
	ReplyFailure: "failure", SessionCreated: "session created", SessionClosed: "session closed",
	AcceptConf: "accept-conf", Hello: "hello", Welcome: "welcome", Ack: "ack", Cancel: "cancel",
	Credit: "credit", Drain: "drain", Gap: "gap", Item: "item", Subscribe: "subscribe",
	Unsubscribe: "unsubscribe", Publication: "publication", Presence: "presence",
}

// String returns the name of the kind in PROTOCOL.md, or "unknown".
func (k Kind) String() string {
	if k < kinds && k != 0 {
		return kindNames[k]
	}
	return "unknown"
}

// FromClient reports whether clients of the version send messages of this kind.
func (v Version) FromClient(k Kind) bool { return v.sentBy(k, client) }

// FromServer reports whether servers of the version send messages of this kind.
func (v Version) FromServer(k Kind) bool { return v.sentBy(k, server) }

func (v Version) sentBy(k Kind, end senders) bool {
	s := v.spec()
	return s != nil && k < kinds && s.from[k]&end != 0
}

// Counted reports whether both ends count messages of this kind, so that the connection
// can be resumed (section 11.10). Before 3.0 no message is counted.
func (v Version) Counted(k Kind) bool {
	s := v.spec()
	return s != nil && k < kinds && s.counted[k]
}

// IsReply reports whether messages of this kind answer a request: end it. In 3.0 either
// end sends them, before 3.0 only the server.
func (k Kind) IsReply() bool { return k >= Reply && k <= ReplyFailure }
