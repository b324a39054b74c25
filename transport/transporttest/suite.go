// Package transporttest is the promises of a transport in executable form: a
// suite that every implementation of [transport.Conn] runs.
//
// A transport tells the suite how to make connections, and the suite does the
// rest:
//
//	func TestConn(t *testing.T) {
//		transporttest.Run(t, transporttest.Harness{
//			Pair: func(t *testing.T, a, b transport.Limits) (transport.Conn, transport.Conn) {
//				return mytransport.Connect(t, transport.DialOptions{Limits: a}, transport.AcceptOptions{Limits: b})
//			},
//		})
//	}
//
// If the two ends of a connection differ, as the client and the server of a
// WebSocket do, run the suite twice, the second time with the ends swapped.
//
// A transport over byte streams sets [Harness.Bare] and [Harness.Frame] as well,
// and is then tested against peers that misbehave: that stop in the middle of a
// frame, never read, ignore a close or vanish. One whose connections are a
// [transport.Peeker] is held to that as well.
package transporttest

import (
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/transport"
)

// A Harness makes the connections that the suite tests. Its functions register
// with t.Cleanup the end of whatever they start besides the connections; the
// suite ends the connections itself, and looks for what was left behind after
// the clean-up. Only Pair is required.
type Harness struct {
	// Pair returns the two ends of a new connection with their limits set.
	Pair func(t *testing.T, a, b transport.Limits) (transport.Conn, transport.Conn)

	// Bare returns one end of a new connection with its limits set and, in
	// place of the other end, the byte stream under it as it is once both
	// ends are connected, handshake and encryption done. The suite closes it.
	// Nil skips the tests of misbehaving peers.
	Bare func(t *testing.T, limits transport.Limits) (transport.Conn, net.Conn)

	// Frame returns the bytes by which the owner of the bare stream sends msg,
	// as one frame that begins with its length. Required with Bare.
	Frame func(msg []byte) []byte

	// Negotiate returns the two ends of a new connection whose dialling end
	// offered some protocol tokens and whose other end supports some.
	// Nil for a transport that does not negotiate: its Protocol must be empty.
	Negotiate func(t *testing.T, offer, supported []string) (transport.Conn, transport.Conn)

	// Opening returns an accepted connection and, in place of the end that dialled,
	// the byte stream under it before the first byte of the negotiation. The suite
	// closes it. It is for transports that negotiate on the connection itself.
	// Nil skips the tests of peers that misbehave while they negotiate.
	Opening func(t *testing.T, opts transport.AcceptOptions) (transport.Conn, net.Conn)

	// Offer returns the bytes by which the owner of the stream of Opening offers
	// tokens. Required with Opening, as Frame is.
	Offer func(tokens ...string) []byte

	// Bubble runs every test in a testing/synctest bubble, where time is
	// virtual. All channels and goroutines of the transport then have to be
	// made inside Pair, and it must not block on anything else.
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

// Run tests the transport that h makes connections of, one subtest per promise.
// It counts goroutines and descriptors, so no other test may run at the same time.
// Unless h.Bubble is set, it calls the functions of h from several goroutines.
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
