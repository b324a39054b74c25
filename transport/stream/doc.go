// Package stream carries messages over any net.Conn: TCP, TLS, unix sockets. It is the
// transport for peers that are not browsers, and costs little more than the byte stream
// below it.
//
// A server accepts connections from a [Listener], a client dials them with a [Dialer]:
//
//	listener, err := stream.Listen("tcp", ":7000", nil)
//	dialer := stream.Dialer{Network: "tcp", Address: "example.com:7000"}
//
// [Client] and [Server] make the two ends of a connection from net.Conns that were
// obtained in another way.
//
// # Framing
//
// Each frame begins with a 32-bit big-endian word. If its top bit is 0, the word is the
// length of a message, and the message follows:
//
//	0lllllll llllllll llllllll llllllll  message of l bytes, l < 2^31
//
// If the top bit is 1, the frame is a control frame. The next 7 bits are its operation,
// the lower 24 bits the length of its body, which follows:
//
//	1ooooooo llllllll llllllll llllllll  control frame with a body of l bytes
//
//	operation  length   body
//	1 ping     0
//	2 pong     0
//	3 close    0        no status was given
//	           2...125  16-bit big-endian status, then the reason in UTF-8
//	4 offer    0...4096 protocol tokens; the first frame of the dialling end only
//	5 answer   0...4096 protocol tokens; the first frame of the accepting end only
//
// Any other control frame is an error and is answered with a close of status 1002. A
// ping is answered with a pong. If pings arrive faster than they can be answered, one
// pong may answer several. A close is answered with a close of the same status, which is
// the last frame its sender sends; an end that has sent and received a close closes the
// byte stream. Messages are not fragmented, so a control frame waits for the message
// before it.
//
// A byte stream that ends without a close frame is a lost connection. This includes TLS:
// its closing alert is neither sent nor required.
//
// # The first exchange
//
// The dialling end sends an offer as its first frame, after the handshake of TLS if there
// is one, and sends nothing else until it has read the answer. The body lists the protocol
// tokens it supports, the best first, separated by commas. An end that supports none
// sends an empty list. The offer of webwire-2.0 and webwire-1.2:
//
//	84 00 00 17                            control frame, operation 4, 23 bytes
//	77 65 62 77 69 72 65 2d 32 2e 30       "webwire-2.0"
//	2c                                     ","
//	77 65 62 77 69 72 65 2d 31 2e 32       "webwire-1.2"
//
// The accepting end chooses the first of its own tokens that was offered, and answers
// with that token alone:
//
//	85 00 00 0b                            control frame, operation 5, 11 bytes
//	77 65 62 77 69 72 65 2d 32 2e 30       "webwire-2.0"
//
// If no token was offered that it supports, it answers with a comma before each token that
// it does support, as many as fit. The body of the answer is empty if it supports none.
//
//	85 00 00 0c                            control frame, operation 5, 12 bytes
//	2c 77 65 62 77 69 72 65 2d 33 2e 30    ",webwire-3.0"
//
//	85 00 00 00                            nothing is supported
//
// Messages and other control frames follow the exchange. The connection stays usable
// without an agreement; what happens then is up to the protocol above.
//
// An accepting end whose first frame is not an offer treats the peer as one that does not
// negotiate: no token is agreed on, nothing is answered, and the frame is handled as usual.
// A dialling end that reads a close in place of the answer reports its status; any other
// frame is an error with status 1002, as are an answer with a token that was not offered,
// a body over 4096 bytes, and an offer or answer after the first frame.
//
// Both ends limit the time they wait for each other, see [transport.Limits]: the exchange
// fails when nothing arrives for ReadTimeout, or when an offer or answer that has begun
// makes too little progress.
package stream
