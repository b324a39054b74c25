// Package stream carries messages over any net.Conn: TCP, TLS, unix sockets.
// It is the transport for peers that need no browser on the other side, and
// costs little more than the byte stream under it.
//
// A server accepts connections from a Listener, a client makes them with a
// Dialer:
//
//	listener, err := stream.Listen("tcp", ":7000", nil)
//	dialer := stream.Dialer{Network: "tcp", Address: "example.com:7000"}
//
// and [New] makes a connection of a net.Conn that came some other way.
//
// # Framing
//
// Each frame begins with a 32-bit big-endian word. If its top bit is 0, the word
// is the length of a message, whose bytes follow:
//
//	0lllllll llllllll llllllll llllllll  message of l bytes, l < 2^31
//
// If the top bit is 1, it is a control frame: the next 7 bits are its operation,
// the lower 24 bits the length of what follows.
//
//	1ooooooo llllllll llllllll llllllll  control frame
//
//	operation  length   what follows
//	1 ping     0
//	2 pong     0
//	3 close    0        no status was given
//	           2...125  16-bit big-endian status, then the reason in UTF-8
//
// Every other control frame is an error, which is answered by a close with
// status 1002. A ping is answered by one pong, a row of pings that come faster
// than they can be answered by at least one. A close is answered by a close with
// the same status, the last frame its sender sends; who has both sent and
// received one closes the byte stream. There are no fragments, so a control
// frame waits for the message before it.
//
// A byte stream that ends without a close frame is a lost connection, in TLS
// too: its own closing alert is neither sent nor needed.
package stream
