// Package transporttest tests implementations of package transport. Its suite, [Run], checks
// what the documentation of [transport.Conn] promises. [Faults] wraps a transport to make
// its network fail on demand.
//
// A transport passes functions that make connections to the suite:
//
//	func TestConn(t *testing.T) {
//		transporttest.Run(t, transporttest.Harness{
//			Pair: func(t *testing.T, a, b transport.Limits) (transport.Conn, transport.Conn) {
//				return mytransport.Connect(t, transport.DialOptions{Limits: a}, transport.AcceptOptions{Limits: b})
//			},
//		})
//	}
//
// If the two ends of a connection are implemented differently, as for the client and the
// server of a WebSocket, run the suite twice, the second time with the ends swapped.
//
// A transport over byte streams also sets [Harness.Bare] and [Harness.Frame]. It is then
// tested with peers that misbehave: that stop in the middle of a frame, never read, ignore a
// close or vanish. A transport that negotiates protocols sets [Harness.Negotiate]. If it does so
// on the connection itself it also sets [Harness.Opening] and [Harness.Offer], and is tested
// with peers that send no offer, a part of one, or one that is too long. Connections that are
// a [transport.Peeker] or [transport.Negotiator] are tested as such.
package transporttest

import (
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/transport"
)

// A Harness makes the connections that the suite tests. Its functions must use t.Cleanup to
// stop everything they start, except the connections: the suite ends those itself, and checks
// for leaks after the cleanup. Only Pair is required.
type Harness struct {
	// Pair returns the two ends of a new connection, which have the limits a and b. The
	// suite tests the first one more thoroughly.
	Pair func(t *testing.T, a, b transport.Limits) (transport.Conn, transport.Conn)

	// Bare returns one end of a new connection, which has the given limits, and, in
	// place of the other end, its byte stream after the handshake and the negotiation,
	// without encryption. The suite closes the byte stream.
	// Nil: tests of misbehaving peers are skipped.
	Bare func(t *testing.T, limits transport.Limits) (transport.Conn, net.Conn)

	// Frame returns the bytes that the owner of the byte stream writes to send msg, as
	// one frame that begins with its length. Required with Bare and Opening.
	Frame func(msg []byte) []byte

	// Negotiate returns the two ends of a new connection, of which the dialling end
	// offered the tokens offer and the other end supports the tokens supported.
	// Nil: the transport does not negotiate, and Protocol must return the empty string.
	Negotiate func(t *testing.T, offer, supported []string) (transport.Conn, transport.Conn)

	// Opening returns the accepting end of a new connection and, in place of the
	// dialling end, its byte stream before the first byte of the negotiation, without
	// encryption. The suite closes the byte stream. It is for transports that negotiate
	// on the connection itself. An offer over 4096 bytes must be a protocol error.
	// Nil: tests of peers that misbehave in the negotiation are skipped.
	Opening func(t *testing.T, opts transport.AcceptOptions) (transport.Conn, net.Conn)

	// Offer returns the bytes that the owner of the byte stream of Opening writes to
	// offer tokens. Required with Opening.
	Offer func(tokens ...string) []byte

	// Bubble runs each test in a testing/synctest bubble, where time is virtual. The
	// transport must then create its channels and goroutines in the functions of the
	// harness, and must block only on them.
	// False: real time.
	Bubble bool
}

// A promise is one test of the suite.
type promise struct {
	name    string
	test    func(*testing.T, Harness)
	bare    bool // needs Bare and Frame
	opening bool // needs Opening, Offer and Frame
}

// Tests that mostly wait for a time limit run at the same time where time is real,
// which takes a fifth of the time. The others may measure the whole process.
var (
	oneByOne = slices.Concat(messages, negotiation, peeking, closing, resources)
	atOnce   = slices.Concat(timing, progress, misbehaviour, lateOffers)
)

// Run tests connections made by h, with one subtest for each promise. It counts goroutines
// and file descriptors, so no other test may run at the same time. Unless h.Bubble is set,
// it calls the functions of h concurrently.
func Run(t *testing.T, h Harness) {
	if h.Pair == nil {
		t.Fatal("transporttest: the harness has no Pair")
	}
	if h.Bare != nil && h.Frame == nil {
		t.Fatal("transporttest: the harness has Bare and no Frame")
	}
	h.checkOpening(t)
	for _, p := range oneByOne {
		t.Run(p.name, func(t *testing.T) { p.run(t, h, true) })
	}
	if h.Bubble {
		for _, p := range atOnce {
			t.Run(p.name, func(t *testing.T) { p.run(t, h, true) })
		}
		return
	}
	quiet := goroutines()
	var all sync.WaitGroup
	for _, p := range atOnce {
		// Not t.Parallel, which also limits tests that only wait to GOMAXPROCS.
		all.Go(func() { t.Run(p.name, func(t *testing.T) { p.run(t, h, false) }) })
	}
	all.Wait()
	awaitQuiet(t, quiet)
}

// run tests one promise. If alone, it fails the test if a goroutine is left.
func (p promise) run(t *testing.T, h Harness, alone bool) {
	switch {
	case p.bare && h.Bare == nil:
		t.Skip("the harness has no Bare")
	case p.opening && h.Opening == nil:
		t.Skip("the harness has no Opening")
	case h.Bubble:
		// The bubble itself fails if a goroutine is left.
		synctest.Test(t, func(t *testing.T) { p.test(t, h) })
		return
	case alone:
		// Registered first, so it looks after all other clean-up.
		quiet := goroutines()
		t.Cleanup(func() { awaitQuiet(t, quiet) })
	}
	p.test(t, h)
}

// pair makes a connection whose ends are dropped when the test ends.
func (h Harness) pair(t *testing.T, a, b transport.Limits) (transport.Conn, transport.Conn) {
	t.Helper()
	x, y := h.Pair(t, a, b)
	dropAtEnd(t, x)
	dropAtEnd(t, y)
	return x, y
}

// bare makes a connection and the byte stream in place of its other end.
func (h Harness) bare(t *testing.T, limits transport.Limits) (transport.Conn, net.Conn) {
	t.Helper()
	conn, raw := h.Bare(t, limits)
	dropAtEnd(t, conn)
	t.Cleanup(func() { raw.Close() })
	return conn, raw
}

// opening accepts a connection whose peer has not sent anything.
func (h Harness) opening(t *testing.T, opts transport.AcceptOptions) (transport.Conn, net.Conn) {
	t.Helper()
	conn, raw := h.Opening(t, opts)
	dropAtEnd(t, conn)
	t.Cleanup(func() { raw.Close() })
	return conn, raw
}

func dropAtEnd(t *testing.T, c transport.Conn) {
	t.Cleanup(func() {
		if err := c.Abort(); err != nil {
			t.Errorf("Abort at the end of the test: %v", err)
		}
	})
}
