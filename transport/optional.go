package transport

// As returns the first of c and the connections that it wraps, as told by their method
// Unwrap() Conn, that has the type T, and reports whether there is one. T is one of the
// optional interfaces of this package, or a type of its user.
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

// A Peeker is a Conn that knows whether the next Read has to wait. With it, answers to
// messages that arrived together are sent together.
type Peeker interface {
	// Buffered reports whether the next message has arrived whole, so that the next
	// Read returns without waiting for the network. It may return false although it
	// has. Only the caller of Read may call it, between two Reads.
	Buffered() bool
}

// A Monitor is a Conn that knows whether anything arrives from the peer, including its
// pings and their answers. With it, a client finds out sooner whether its connection
// survived a sleep of the system.
type Monitor interface {
	// Arrivals returns a number that changes whenever something has arrived. It may
	// be called at any time.
	Arrivals() uint64
}

// A TextAccepter is a Conn whose transport distinguishes text messages from binary
// ones, and rejects them unless told otherwise.
type TextAccepter interface {
	// AcceptText sets whether Read returns text messages, as the bytes they consist
	// of, or closes the connection with StatusUnsupportedData. It may be called at
	// any time.
	AcceptText(accept bool)
}

// A SilenceAllower is a Conn that can do without signs of life. It is for peers that
// neither send anything on their own nor answer pings.
type SilenceAllower interface {
	// AllowSilence removes the limit on the silence of the peer between messages. A
	// message that has begun still has to make progress within the read timeout.
	// AllowSilence is called before the first Read.
	AllowSilence()
}

// A Negotiator is a Conn that knows which protocol tokens its peer named.
type Negotiator interface {
	// PeerProtocols returns the tokens that the peer supports or, on an accepted
	// connection, offered: all of them, or only the one that both ends agreed on. They
	// are nil if the peer does not negotiate, and empty but not nil if it named none.
	// An error is that of a connection that ended before. PeerProtocols waits as
	// [Conn.Protocol] does.
	PeerProtocols() ([]string, error)
}
