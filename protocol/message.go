package protocol

import (
	"encoding/binary"
	"encoding/hex"
)

// Message is one message of any version. The comment at each kind says which of the
// fields it uses; the others are zero. The type byte on the wire follows from Kind
// and Payload.Encoding.
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

// ID matches replies to requests. Its bytes mean something only to the end that sends
// the request; the other echoes them.
type ID [8]byte

// NewID returns the ID that holds n in little endian.
func NewID(n uint64) (id ID) {
	binary.LittleEndian.PutUint64(id[:], n)
	return id
}

// Uint64 returns the number that NewID made the ID of.
func (id ID) Uint64() uint64 { return binary.LittleEndian.Uint64(id[:]) }

// String returns the bytes in wire order as hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Kind says what a message is for. The zero Kind is none.
type Kind uint8

const (
	_ Kind = iota

	Request        // wants a Reply: ID, Head, Name, Payload
	CloseSession   // wants the session closed and a Reply: ID
	RestoreSession // wants the session of a key and a Reply: ID, Payload (the key, UTF-8)
	Heartbeat      // says that the client is alive; 1.5 and 2.0
	Signal         // wants no reply: Head, Name, Payload

	Reply                 // answers with success: ID, Head, Payload
	ReplyError            // answers with an error of the application: ID, Name (its code), Payload (its message, UTF-8)
	ReplyShutdown         // refuses because the server shuts down: ID; before 3.0
	ReplyInternalError    // the handler failed: ID; before 3.0
	ReplySessionNotFound  // no session has that key: ID; before 3.0
	ReplySessionFull      // the session has as many connections as it may: ID; before 3.0
	ReplySessionsDisabled // the server has no sessions: ID; before 3.0
	ReplyProtocolError    // the request was malformed: ID; 1.4 and 1.5
	ReplyFailure          // there is no other reply, and why: ID, Payload (see FailureError); 3.0

	SessionCreated // the connection got a session: Payload (UTF-8, see Version.AppendSession)
	SessionClosed  // the connection's session is closed
	AcceptConf     // opens a connection: Payload (see Conf); 2.0 and 3.0

	// All of these are of 3.0.

	Hello       // opens a socket or resumes a connection: Head, Payload (see HelloBody)
	Welcome     // answers a Hello: Payload (see WelcomeBody)
	Ack         // says how many counted messages have arrived: Number
	Cancel      // the sender of a request does not need the outcome: ID, Payload (see CancelBody)
	Credit      // lets the peer send items of a streamed reply: ID, Number (see ItemOverhead)
	Drain       // asks the client to move to another server: Payload (see DrainBody)
	Gap         // messages were lost: Ref, Payload (see GapBody)
	Item        // is a part of a streamed reply: ID, Payload
	Subscribe   // wants the publications of a topic and a Reply: ID, Ref, Payload (see SubscribeBody)
	Unsubscribe // ends a subscription: Ref
	Publication // is a signal of a topic: Ref, Number (its place in the topic), Head, Name, Payload
	Presence    // tells of the other subscribers of a topic: Ref, Payload (see PresenceBody)

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

// String returns the name of the kind in PROTOCOL.md.
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

// Counted reports whether both ends count messages of this kind in order to resume the
// connection: those that are neither lost nor repeated (section 11.10). Before 3.0 no
// message is counted.
func (v Version) Counted(k Kind) bool {
	s := v.spec()
	return s != nil && k < kinds && s.counted[k]
}

// IsReply reports whether messages of this kind end a request. Either end sends them
// in 3.0, only the server before.
func (k Kind) IsReply() bool { return k >= Reply && k <= ReplyFailure }
