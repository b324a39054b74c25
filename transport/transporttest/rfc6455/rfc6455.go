// Package rfc6455 tests a WebSocket transport against the standard: a table of
// what a peer may and may not send, and what has to come of it.
//
// The suite of package transporttest tests what every transport promises. This
// one adds what RFC 6455 says about framing, fragmentation, masking, control
// frames, close codes and limits, for both ends of a connection:
//
//	func TestRFC6455(t *testing.T) {
//		rfc6455.Run(t, rfc6455.Harness{
//			Server: func(t *testing.T, l transport.Limits) (transport.Conn, net.Conn) { ... },
//			Client: func(t *testing.T, l transport.Limits) (transport.Conn, net.Conn) { ... },
//		})
//	}
//
// No library follows the standard in everything. Where one does not, its
// transport says so in the harness, with the reason; the suite then makes sure
// that it is still so.
package rfc6455

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// A Harness makes the connections that the suite tests. Its functions register
// with t.Cleanup the end of whatever they start besides the connections.
type Harness struct {
	// Server returns the server's end of a new connection with its limits set,
	// and the client's byte stream under it, the handshake done.
	Server func(t *testing.T, limits transport.Limits) (transport.Conn, net.Conn)

	// Client returns the client's end, and the server's byte stream.
	Client func(t *testing.T, limits transport.Limits) (transport.Conn, net.Conn)

	// Differences are the cases in which the transport does not follow the
	// standard, by their names.
	Differences map[string]Difference
}

// Difference is what a transport does in place of what the standard demands.
type Difference struct {
	Reason string           // why that is so, and why it does no harm
	Status transport.Status // the status it closes the connection with; zero: it takes what came
}

// limits are those of the connections. Whoever is tested closes the connection
// on his own account; the peer answers, so that nothing takes that long.
var limits = transport.Limits{MaxMessageSize: 200_000, CloseTimeout: 10 * time.Second}

// patience is how long the suite waits for what should come at once.
const patience = 20 * time.Second

// Run tests the transport that h makes connections of.
func Run(t *testing.T, h Harness) {
	known := map[string]bool{}
	for _, c := range cases() {
		known[c.name] = true
	}
	for name := range h.Differences {
		if !known[name] {
			t.Errorf("the harness has a difference in %q, which is no case", name)
		}
	}
	for _, r := range []role{server, client} {
		connect := h.Server
		if r == client {
			connect = h.Client
		}
		t.Run(r.String(), func(t *testing.T) {
			for _, c := range cases() {
				if c.only != both && c.only != r {
					continue
				}
				if d, ok := h.Differences[c.name]; ok {
					c.differ(d)
				}
				t.Run(c.section+" "+c.name, func(t *testing.T) {
					bytes := c.bytes(r)
					c.run(t, r, connect, bytes, len(bytes))
					if len(bytes) < 1000 { // how they come has no meaning
						c.run(t, r, connect, bytes, 1)
						c.behindMessage().run(t, r, connect, append(first.bytes(r), bytes...), patienceless)
					}
				})
			}
			t.Run("what is sent", func(t *testing.T) { testSends(t, r, connect) })
		})
	}
}

// first is what comes with the frames of a case, ahead of them.
var first = binaryFrame("first")

// behindMessage returns the case with first ahead of its frames. A transport.Peeker
// has then read them before they are asked for.
func (c testCase) behindMessage() *testCase {
	c.messages = slices.Concat([][]byte{first.payload}, c.messages)
	return &c
}

type connector func(t *testing.T, limits transport.Limits) (transport.Conn, net.Conn)

// role is the end of the connection that is tested.
type role int

const (
	both role = iota
	server
	client
)

func (r role) String() string { return [...]string{"both", "server", "client"}[r] }

// run sends the bytes in pieces of the given size, and checks what comes of them.
func (c *testCase) run(t *testing.T, r role, connect connector, bytes []byte, size int) {
	limits := limits
	if c.limit != 0 {
		limits.MaxMessageSize = c.limit
	}
	conn, socket := connect(t, limits)
	defer conn.Abort()
	if text, ok := transport.As[transport.TextAccepter](conn); ok {
		text.AcceptText(!c.refuseText)
	}
	peer := newPeer(t, r, socket)
	defer peer.end()
	peer.send(bytes, size)

	for i, want := range c.messages {
		got, err := conn.Read(nil)
		if err != nil {
			t.Fatalf("Read of message %d: %v", i, err)
		}
		if string(got) != string(want) {
			t.Fatalf("message %d is %.50q (%d bytes), want %.50q (%d bytes)", i, got, len(got), want, len(want))
		}
	}
	ends := c.local != 0 || c.remote != nil
	if p, ok := conn.(transport.Peeker); ok && ends && p.Buffered() {
		t.Error("Buffered, but the next Read ends the connection, which takes the time of the peer")
	}
	if !ends {
		// The connection has to be of use still.
		peer.send(frame{first: 0x82, payload: []byte("still here")}.bytes(r), patienceless)
		if got, err := conn.Read(nil); err != nil || string(got) != "still here" {
			t.Fatalf("Read of a message after all: %q, %v", got, err)
		}
		peer.wantPongs(c.pongs)
		return
	}
	// Read answers, or closes, and waits for the peer.
	read := make(chan error, 1)
	go func() {
		msg, err := conn.Read(nil)
		if err == nil {
			t.Errorf("Read: %.50q (%d bytes), want no further message", msg, len(msg))
			conn.Abort() // the peer need not wait
		}
		read <- err
	}()
	want := transport.CloseError{Status: c.local, Local: true}
	if c.remote != nil {
		want = *c.remote
	}
	peer.wantPongs(c.pongs)
	peer.wantClose(want.Status)
	var closed *transport.CloseError
	if err := <-read; !errors.As(err, &closed) {
		t.Fatalf("Read: %v, want a *transport.CloseError", err)
	}
	got := *closed
	if got.Local {
		got.Reason = "" // the transport's own words
	}
	if got != want {
		t.Fatalf("Read: %+v, want %+v", *closed, want)
	}
}

// differ makes what the transport does what the case wants.
func (c *testCase) differ(d Difference) {
	if d.Reason == "" {
		panic(fmt.Sprintf("rfc6455: the difference in %q has no reason", c.name))
	}
	c.local, c.remote = d.Status, nil
	if d.Status == 0 {
		c.messages, c.pongs, c.remote = c.accepted, c.acceptedPongs, c.acceptedClose
	}
}

// testSends checks the frames of the transport itself.
func testSends(t *testing.T, r role, connect connector) {
	conn, socket := connect(t, limits)
	defer conn.Abort()
	peer := newPeer(t, r, socket)
	defer peer.end()
	sizes := []int{0, 1, 125, 126, 127, 65_535, 65_536, 300_000}
	msgs := make([][]byte, len(sizes))
	for i, size := range sizes {
		msgs[i] = make([]byte, size)
		for j := range msgs[i] {
			msgs[i][j] = byte(i + j)
		}
	}
	for range 2 {
		if err := conn.Ping(); err != nil {
			t.Fatalf("Ping: %v", err)
		}
		if err := conn.Write(msgs...); err != nil {
			t.Fatalf("Write: %v", err)
		}
		for i, want := range msgs {
			if got := peer.message(); string(got) != string(want) {
				t.Fatalf("message %d arrived as %.50q (%d bytes), want %.50q (%d bytes)", i, got, len(got), want, len(want))
			}
		}
	}
	if r == client && len(peer.masks) < 2 {
		t.Errorf("all frames have the same mask")
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		conn.Close(transport.StatusGoingAway, "bye")
	}()
	peer.wantClose(transport.StatusGoingAway)
	<-closed
}
