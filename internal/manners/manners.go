// Package manners holds the differences between protocol versions in how peers
// behave. How their messages look is in package protocol.
package manners

import "github.com/webwire-go/webwire/protocol"

// Manners describes how peers that speak one version behave.
type Manners struct {
	// Heartbeats: clients send Heartbeat when they have sent nothing else for
	// three quarters of the server's read timeout (section 6.1).
	Heartbeats bool

	// Conf: the server opens every connection with AcceptConf, and neither side
	// sends messages longer than it says (section 7.1).
	Conf bool

	// Hello: both ends speak first, the server with AcceptConf and the client with Hello,
	// which the server answers with Welcome (section 11.4).
	Hello bool

	// TextFrames: a WebSocket text message is treated as a binary one. Otherwise it
	// ends the connection (section 9).
	TextFrames bool

	// ConfirmClose: a client that closes its session gets SessionClosed before
	// the reply, not the reply alone (section 7.3).
	ConfirmClose bool

	badRequest Reaction // to malformed messages that want a reply
	badOther   Reaction // to other malformed messages, unknown types, empty messages
	strayReply Reaction // to special replies sent by a client

	misdirected Reaction // to other messages that only servers send
}

// Of returns how peers that speak v behave, or the zero value if v is unknown.
func Of(v protocol.Version) Manners {
	switch v {
	case protocol.V1_2:
		return Manners{
			TextFrames: true, ConfirmClose: true,
			badRequest: Disconnect, badOther: Disconnect, strayReply: Disconnect,
		}
	case protocol.V1_3:
		return Manners{
			TextFrames: true, ConfirmClose: true,
			badRequest: AnswerInternalError, badOther: AnswerInternalError,
		}
	case protocol.V1_4:
		return Manners{
			TextFrames: true, ConfirmClose: true,
			badRequest: AnswerProtocolError,
		}
	case protocol.V1_5:
		return Manners{
			Heartbeats: true, TextFrames: true, ConfirmClose: true,
			badRequest: AnswerProtocolError,
		}
	case protocol.V2_0:
		return Manners{
			Heartbeats: true, Conf: true,
			badRequest: Disconnect, badOther: Disconnect,
		}
	case protocol.V3_0:
		return Manners{
			Heartbeats: true, Hello: true,
			badRequest: Disconnect, badOther: Disconnect, strayReply: Disconnect,
			misdirected: Disconnect,
		}
	}
	return Manners{}
}

// Reaction is what a server does about a message that it does not accept
// (section 9).
type Reaction uint8

const (
	Ignore              Reaction = iota
	AnswerInternalError          // with ReplyInternalError to the message's ID
	AnswerProtocolError          // with ReplyProtocolError to the message's ID
	Disconnect
)

// Malformed returns how a server reacts to a message that Parse rejected. msg is
// the message that Parse returned with the error.
func (m Manners) Malformed(msg protocol.Message) Reaction {
	switch msg.Kind {
	case protocol.Request, protocol.CloseSession, protocol.RestoreSession:
		return m.badRequest
	}
	return m.badOther
}

// Misdirected returns how a server reacts to a well-formed message of a kind that
// only servers send.
func (m Manners) Misdirected(k protocol.Kind) Reaction {
	if k >= protocol.ReplyShutdown && k <= protocol.ReplyProtocolError {
		return m.strayReply
	}
	return m.misdirected
}
