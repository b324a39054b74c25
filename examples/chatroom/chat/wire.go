package chat

import (
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// Message is a message in a room. The client chooses the ID, so that it can send the
// message again if the reply is lost: the room stores it once.
type Message struct {
	Room string    `json:"room"`
	Seq  uint64    `json:"seq"` // position in its room: 1, 2, 3 and so on
	ID   string    `json:"id"`
	Name string    `json:"name"` // of the author
	Text string    `json:"text"`
	Time time.Time `json:"time"`
}

// Room is an entry of the list of rooms.
type Room struct {
	Room    string `json:"room"`
	Members int    `json:"members"`
}

// SignIn is the argument and the result of the request "signin", and the info of
// the session that it creates.
type SignIn struct {
	Name string `json:"name"`
}

// Join is the argument of the request "join".
type Join struct {
	Room  string `json:"room"`
	After uint64 `json:"after,omitempty"` // the last message that the client has
	Again bool   `json:"again,omitempty"` // it was in the room before its connection was lost
}

// Joined is the result of "join": who is in the room, and its messages after
// Join.After, but only the last page. Room is the name as it was spelled first: requests
// may have it in any case.
type Joined struct {
	Room     string    `json:"room"`
	Members  []string  `json:"members"`
	Messages []Message `json:"messages"`
	Earlier  bool      `json:"earlier"` // there are messages before those
}

// Earlier is the argument of the request "earlier".
type Earlier struct {
	Room   string `json:"room"`
	Before uint64 `json:"before"`
}

// Page is the result of "earlier": the last messages before Earlier.Before, at most 100
// and at most as many as fit in a reply.
type Page struct {
	Messages []Message `json:"messages"`
	Earlier  bool      `json:"earlier"` // there are messages before those
}

// InRoom is the argument of the request "leave" and of the signal "typing".
type InRoom struct {
	Room string `json:"room"`
}

// Say is the argument of the request "say", whose result is the Message.
type Say struct {
	Room string `json:"room"`
	ID   string `json:"id"`
	Text string `json:"text"`
}

// Presence is the payload of the signals "joined", "left" and "typing".
type Presence struct {
	Room  string `json:"room"`
	Name  string `json:"name"`
	Again bool   `json:"again,omitempty"` // after a lost connection
}

// The errors of requests.
var (
	ErrSignedOut    = &protocol.Error{Code: "SIGNED_OUT", Message: "sign in first"}
	ErrNameTaken    = &protocol.Error{Code: "NAME_TAKEN", Message: "somebody else has this name"}
	ErrBadName      = &protocol.Error{Code: "BAD_NAME", Message: "a name has 1 to 24 letters, digits and single spaces, or . - _ '"}
	ErrBadRoom      = &protocol.Error{Code: "BAD_ROOM", Message: "the name of a room has 1 to 24 letters (a to z), digits and dashes"}
	ErrBadText      = &protocol.Error{Code: "BAD_TEXT", Message: "a message has 1 to 2000 characters"}
	ErrBadID        = &protocol.Error{Code: "BAD_ID", Message: "the id of a message has 8 to 64 letters, digits and dashes"}
	ErrNotInRoom    = &protocol.Error{Code: "NOT_IN_ROOM", Message: "join the room first"}
	ErrTooFast      = &protocol.Error{Code: "TOO_FAST", Message: "slow down, and try again in a moment"}
	ErrRoomFull     = &protocol.Error{Code: "ROOM_FULL", Message: "the room is full, try again when somebody has left"}
	ErrTooManyRooms = &protocol.Error{Code: "TOO_MANY_ROOMS", Message: "there are as many rooms as there may be"}
	ErrFull         = &protocol.Error{Code: "FULL", Message: "no more names are to be had"}
)
