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
	Name    string
	Payload Payload
}

// ID matches replies to requests. The client chooses its bytes, and the server returns
// them unchanged.
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

	// Sent by clients.

	Request        // expects a reply: ID, Name, Payload
	CloseSession   // asks the server to close the session, expects a reply: ID
	RestoreSession // asks for the session with a key, expects a reply: ID, Payload (the key, UTF-8)
	Heartbeat      // shows that the client is alive; 1.5 and later

	// Sent by clients and servers.

	Signal // expects no reply: Name, Payload

	// Sent by servers.

	Reply                 // the request succeeded: ID, Payload
	ReplyError            // the application refused the request: ID, Name (the code), Payload (the message, UTF-8)
	ReplyShutdown         // not executed because the server is shutting down: ID
	ReplyInternalError    // the handler failed: ID
	ReplySessionNotFound  // no session has the key: ID
	ReplySessionFull      // the session has its maximum number of connections: ID
	ReplySessionsDisabled // the server has sessions disabled: ID
	ReplyProtocolError    // the request was malformed: ID; 1.4 and 1.5
	SessionCreated        // the connection has a new session: Payload (UTF-8, see Version.AppendSession)
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

// String returns the name of the kind in PROTOCOL.md, or "unknown".
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

// IsReply reports whether messages of this kind answer a request.
func (k Kind) IsReply() bool { return k >= Reply && k <= ReplyProtocolError }
