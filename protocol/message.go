package protocol

import (
	"encoding/binary"
	"encoding/hex"
)

// Message is one message of any version. Which of its fields a kind uses is said
// at the kind; the others are zero. The type byte on the wire follows from Kind
// and Payload.Encoding.
type Message struct {
	Kind    Kind
	ID      ID
	Name    string
	Payload Payload
}

// ID matches replies to requests. Its bytes mean something only to the client,
// which chooses them; the server echoes them.
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

	// Sent by clients.

	Request        // wants a Reply: ID, Name, Payload
	CloseSession   // wants the session closed and a Reply: ID
	RestoreSession // wants the session of a key and a Reply: ID, Payload (the key, UTF-8)
	Heartbeat      // says that the client is alive; 1.5 and later

	// Sent by both.

	Signal // wants no reply: Name, Payload

	// Sent by servers.

	Reply                 // answers with success: ID, Payload
	ReplyError            // answers with an error of the application: ID, Name (its code), Payload (its message, UTF-8)
	ReplyShutdown         // refuses because the server shuts down: ID
	ReplyInternalError    // the handler failed: ID
	ReplySessionNotFound  // no session has that key: ID
	ReplySessionFull      // the session has as many connections as it may: ID
	ReplySessionsDisabled // the server has no sessions: ID
	ReplyProtocolError    // the request was malformed: ID; 1.4 and 1.5
	SessionCreated        // the connection got a session: Payload (UTF-8, see Version.AppendSession)
	SessionClosed         // the connection's session is closed
	AcceptConf            // opens a connection: Payload (binary, see Conf); 2.0

	kinds
)

var kindNames = [kinds]string{
	Request: "request", CloseSession: "close session", RestoreSession: "restore session",
	Heartbeat: "heartbeat", Signal: "signal", Reply: "reply", ReplyError: "error reply",
	ReplyShutdown: "shutdown reply", ReplyInternalError: "internal error reply",
	ReplySessionNotFound: "session not found reply", ReplySessionFull: "session full reply",
	ReplySessionsDisabled: "sessions disabled reply", ReplyProtocolError: "protocol error reply",
	SessionCreated: "session created", SessionClosed: "session closed", AcceptConf: "accept-conf",
}

// String returns the name of the kind in PROTOCOL.md.
func (k Kind) String() string {
	if k < kinds && k != 0 {
		return kindNames[k]
	}
	return "unknown"
}

// FromClient reports whether clients send messages of this kind.
func (k Kind) FromClient() bool { return k >= Request && k <= Signal }

// FromServer reports whether servers send messages of this kind.
func (k Kind) FromServer() bool { return k >= Signal && k < kinds }

// IsReply reports whether messages of this kind end a request.
func (k Kind) IsReply() bool { return k >= Reply && k <= ReplyProtocolError }
