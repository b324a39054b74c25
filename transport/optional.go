package transport

// As returns the first connection of type T among c and the connections it wraps, and
// reports whether there is one. It unwraps a connection by its method Unwrap() Conn. T is
// one of the optional interfaces of this package or any other type. As of a nil Conn
// reports false.
func As[T any](c Conn) (T, bool) {
	for c != nil {
		if t, ok := c.(T); ok {
			return t, true
		}
		wrapper, ok := c.(interface{ Unwrap() Conn })
		if !ok {
			break
		}
		c = wrapper.Unwrap()
	}
	var none T
	return none, false
}

// A Peeker is a Conn that can tell whether the next Read would block. Its users answer
// messages that arrived together with one Write.
type Peeker interface {
	// Buffered reports whether the next message has arrived completely, so that the
	// next Read returns without waiting for the network. It may report false although
	// the message has arrived. It must not be called concurrently with Read.
	Buffered() bool
}

// A Monitor is a Conn that can tell whether anything arrives from the peer, including pings
// and answers to pings. Clients use it to find out quickly whether a connection survived
// suspension of the system.
type Monitor interface {
	// Arrivals returns a counter that changes when something arrives. It may be called
	// concurrently.
	Arrivals() uint64
}

// A TextAccepter is a Conn whose transport distinguishes text and binary messages, and
// rejects text messages by default.
type TextAccepter interface {
	// AcceptText sets whether Read returns the bytes of text messages or closes the
	// connection with StatusUnsupportedData when one arrives. It may be called
	// concurrently.
	AcceptText(accept bool)
}

// A SilenceAllower is a Conn that can wait for messages without a time limit. It is for
// peers that send nothing while idle and do not answer pings.
type SilenceAllower interface {
	// AllowSilence removes the limit on the silence of the peer between messages. A
	// message that has begun must still make progress within the read timeout.
	// AllowSilence must be called before the first Read.
	AllowSilence()
}

// A Negotiator is a Conn that knows the protocol tokens its peer named.
type Negotiator interface {
	// PeerProtocols returns the tokens that the peer supports (on a dialled connection)
	// or offered (on an accepted one). If both ends agreed on a token it may return that
	// token alone. The result is nil if the peer does not negotiate, and empty but not
	// nil if it named no token; it must not be modified. PeerProtocols waits as
	// [Conn.Protocol] does, and returns the error of the connection if that ended
	// first.
	PeerProtocols() ([]string, error)
}
