package protocol

// Manners are the ways in which versions differ in what peers do, not in how
// their messages look.
type Manners struct {
	// Heartbeats: clients send Heartbeat when they have sent nothing else for
	// three quarters of the server's read timeout (section 6.1).
	Heartbeats bool

	// Conf: the server opens every connection with AcceptConf, and neither side
	// sends messages longer than it says (section 7.1).
	Conf bool

	// TextFrames: a WebSocket text message counts as a binary one. Otherwise it
	// ends the connection (section 9).
	TextFrames bool

	// ConfirmClose: a client that closes its session gets SessionClosed before
	// the reply, not the reply alone (section 7.3).
	ConfirmClose bool

	badRequest Reaction // to malformed messages that want a reply
	badOther   Reaction // to other malformed messages, unknown types, empty messages
	strayReply Reaction // to special replies sent by a client
}

// Manners returns how peers of the version behave, the zero value for an unknown
// version.
func (v Version) Manners() Manners {
	if s := v.spec(); s != nil {
		return s.manners
	}
	return Manners{}
}

// Reaction is what a server does about a message that it cannot accept
// (section 9).
type Reaction uint8

const (
	Ignore              Reaction = iota
	AnswerInternalError          // with ReplyInternalError to the message's ID
	AnswerProtocolError          // with ReplyProtocolError to the message's ID
	Disconnect
)

// Malformed returns what a server does about a message that Parse rejected, m
// being what Parse returned with the error.
func (m Manners) Malformed(msg Message) Reaction {
	switch msg.Kind {
	case Request, CloseSession, RestoreSession:
		return m.badRequest
	}
	return m.badOther
}

// Misdirected returns what a server does about a well-formed message of a kind
// that only servers send.
func (m Manners) Misdirected(k Kind) Reaction {
	if k >= ReplyShutdown && k <= ReplyProtocolError {
		return m.strayReply
	}
	return Ignore
}
