package transporttest

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/transport"
)

var negotiation = []promise{
	{name: "Negotiation", test: testNegotiation},
	{name: "NothingNegotiated", test: testNothingNegotiated},
	{name: "OfferInAnyPieces", test: testOfferInAnyPieces, opening: true},
	{name: "OfferOverTheLimit", test: testOfferOverTheLimit, opening: true},
}

var lateOffers = []promise{
	{name: "LimitsFromTheStart", test: testLimitsFromTheStart},
	{name: "OfferIsCut", test: testOfferIsCut, opening: true},
	{name: "OfferTrickles", test: testOfferTrickles, opening: true},
	{name: "OfferOfAPeerThatIsGone", test: testOfferOfAPeerThatIsGone, opening: true},
}

// Both ends agree on the first supported token that is offered, or on none, and a
// transport.Negotiator knows what the peer named.
func testNegotiation(t *testing.T, h Harness) {
	if h.Negotiate == nil {
		t.Skip("the harness has no Negotiate")
	}
	for _, c := range []struct {
		offer, supported []string
		want             string
	}{
		{nil, nil, ""},
		{[]string{"v2"}, nil, ""},
		{nil, []string{"v2"}, ""},
		{[]string{"v3"}, []string{"v2", "v1"}, ""},
		{[]string{"v2"}, []string{"v22", "V2"}, ""},
		{[]string{"v1"}, []string{"v2", "v1"}, "v1"},
		{[]string{"v1", "v2"}, []string{"v2", "v1"}, "v2"},
		{[]string{"v3", "v2", "v1"}, []string{"v0", "v1", "v2"}, "v1"},
		{[]string{"!#$%&'*+-.^_`|~", "a"}, []string{"!#$%&'*+-.^_`|~"}, "!#$%&'*+-.^_`|~"},
	} {
		a, b := h.Negotiate(t, c.offer, c.supported)
		dropAtEnd(t, a)
		dropAtEnd(t, b)
		for _, end := range []transport.Conn{a, b} {
			if got := end.Protocol(); got != c.want {
				t.Errorf("offered %q, supported %q: one end agreed on %q, want %q", c.offer, c.supported, got, c.want)
			}
			n, ok := transport.As[transport.Negotiator](end)
			if !ok {
				continue
			}
			named, err := n.PeerProtocols()
			if err != nil || named == nil {
				t.Errorf("offered %q, supported %q: PeerProtocols %#v, %v", c.offer, c.supported, named, err)
			}
			if c.want != "" && !slices.Contains(named, c.want) {
				t.Errorf("agreed on %q, but the peer named %q", c.want, named)
			}
			if c.want == "" && !slices.Equal(named, c.offer) && !slices.Equal(named, c.supported) {
				t.Errorf("offered %q, supported %q: the peer named %q", c.offer, c.supported, named)
			}
		}
		send(t, a, []byte("to b"))
		wantMessage(t, b, []byte("to b"))
		send(t, b, []byte("to a"))
		wantMessage(t, a, []byte("to a"))
	}
}

// A peer that makes no offer has no tokens, and its first message is not lost.
func testNothingNegotiated(t *testing.T, h Harness) {
	if h.Opening == nil {
		t.Skip("the harness has no Opening")
	}
	conn, raw := h.opening(t, transport.AcceptOptions{Protocols: []string{"v2"}})
	discard(t, raw)
	go raw.Write(h.Frame([]byte("first")))
	if token := conn.Protocol(); token != "" {
		t.Errorf("Protocol %q", token)
	}
	if n, ok := transport.As[transport.Negotiator](conn); ok {
		if named, err := n.PeerProtocols(); named != nil || err != nil {
			t.Errorf("PeerProtocols %#v, %v of a peer that negotiates nothing", named, err)
		}
	}
	wantMessage(t, conn, []byte("first"))
}

// How an offer is cut into pieces has no meaning, and what comes right behind it is not lost.
func testOfferInAnyPieces(t *testing.T, h Harness) {
	all := append(h.Offer("v1", "v2"), h.Frame([]byte("first"))...)
	for _, size := range []int{1, 3, len(all)} {
		conn, raw := h.opening(t, transport.AcceptOptions{Protocols: []string{"v3", "v2"}})
		discard(t, raw)
		go func() {
			for piece := range slices.Chunk(all, size) {
				if _, err := raw.Write(piece); err != nil {
					t.Errorf("peer: %v", err)
				}
			}
		}()
		if token := conn.Protocol(); token != "v2" {
			t.Errorf("in pieces of %d bytes: Protocol %q", size, token)
		}
		wantMessage(t, conn, []byte("first"))
	}
}

// An offer of more than the transport takes ends the connection, and nothing else is
// done with it.
func testOfferOverTheLimit(t *testing.T, h Harness) {
	limits := transport.Limits{CloseTimeout: 200 * time.Millisecond}
	tokens := slices.Repeat([]string{strings.Repeat("v", 63)}, 65) // 4159 bytes with their commas
	offer := append(h.Offer(tokens...), h.Frame([]byte("first"))...)
	conn, raw := h.opening(t, transport.AcceptOptions{Protocols: tokens[:1], Limits: limits})
	discard(t, raw)
	go raw.Write(offer)
	within(t, limits.CloseTimeout, "Protocol", func() {
		if token := conn.Protocol(); token != "" {
			t.Errorf("Protocol %q", token)
		}
		_, err := conn.Read(nil)
		wantClosed(t, "Read", err, transport.CloseError{Status: transport.StatusProtocolError, Reason: closeError(t, err).Reason, Local: true})
	})
	wantDead(t, conn)
}

// The limits that a connection was made with hold for the first message, the first silence
// and the first Write, at either end.
func testLimitsFromTheStart(t *testing.T, h Harness) {
	for _, swap := range []bool{false, true} {
		pair := func(limits transport.Limits) (limited, other transport.Conn) {
			if swap {
				other, limited = h.pair(t, transport.Limits{}, limits)
			} else {
				limited, other = h.pair(t, limits, transport.Limits{})
			}
			return limited, other
		}
		limits := transport.Limits{MaxMessageSize: 100}
		limited, other := pair(limits)
		draining(other)
		go other.Write(make([]byte, limits.MaxMessageSize+1)) // ends with the connection
		_, err := limited.Read(nil)
		if closed := closeError(t, err); closed.Status != transport.StatusMessageTooBig || !closed.Local {
			t.Errorf("Read of a first message over the limit: %v", err)
		}

		limits = transport.Limits{ReadTimeout: h.short()}
		limited, _ = pair(limits)
		read := reading(limited)

		limits = transport.Limits{WriteTimeout: h.short()}
		limited, _ = pair(limits)
		start := time.Now()
		wantTimeout(t, "the first Write", limited.Write(make([]byte, 24<<20))) // more than sockets store
		h.wantCut(t, "the first Write", limits.WriteTimeout, time.Since(start))
		within(t, h.short()*9/8, "the first Read", func() {
			wantTimeout(t, "the first Read", await(t, "the first Read", read).err)
		})
	}
}

// uses are the calls that may be the first one on an accepted connection.
var uses = map[string]func(transport.Conn) error{
	"Read":  func(c transport.Conn) error { _, err := c.Read(nil); return err },
	"Write": func(c transport.Conn) error { return c.Write([]byte("x")) },
	"Ping":  transport.Conn.Ping,
	"Protocol": func(c transport.Conn) error {
		if token := c.Protocol(); token != "" {
			return nil
		}
		return c.Ping()
	},
}

// A peer that never makes its offer, or never ends it, is given up after the read timeout,
// whatever waits for it.
func testOfferIsCut(t *testing.T, h Harness) {
	limits := transport.Limits{ReadTimeout: 200 * time.Millisecond}
	offer := h.Offer("v1", "v2")
	for _, sent := range []int{0, 1, len(offer) - 1} {
		for name, use := range uses {
			conn, raw := h.opening(t, transport.AcceptOptions{Protocols: []string{"v1"}, Limits: limits})
			discard(t, raw)
			go raw.Write(offer[:sent])
			within(t, 2*limits.ReadTimeout*9/8, name, func() { // the silence before counts by itself
				wantTimeout(t, name, use(conn))
			})
			wantDead(t, conn)
		}
	}
}

// An offer has to make progress as a message has, however often a byte of it comes.
func testOfferTrickles(t *testing.T, h Harness) {
	limits := transport.Limits{ReadTimeout: 300 * time.Millisecond}
	conn, raw := h.opening(t, transport.AcceptOptions{Protocols: []string{"v1"}, Limits: limits})
	discard(t, raw)
	offer := h.Offer(slices.Repeat([]string{"v1"}, 1000)...)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for piece := range slices.Chunk(offer, 1) {
			if _, err := raw.Write(piece); err != nil {
				return
			}
			select {
			case <-time.After(limits.ReadTimeout / 20):
			case <-ended:
				return
			}
		}
	}()
	within(t, 2*limits.ReadTimeout*9/8, "Write", func() { wantTimeout(t, "Write", conn.Write(nil)) })
	wantDead(t, conn)
}

// The end of the byte stream before that of the offer is a loss, and Close and Abort do
// not wait for an offer.
func testOfferOfAPeerThatIsGone(t *testing.T, h Harness) {
	offer := h.Offer("v1")
	for _, sent := range []int{0, 1, len(offer) - 1} {
		conn, raw := h.opening(t, transport.AcceptOptions{Protocols: []string{"v1"}})
		go func() {
			raw.Write(offer[:sent])
			raw.Close()
		}()
		within(t, 0, "Protocol", func() {
			if token := conn.Protocol(); token != "" {
				t.Errorf("Protocol %q", token)
			}
		})
		_, err := conn.Read(nil)
		wantLost(t, "Read", err)
	}
	limits := transport.Limits{CloseTimeout: 200 * time.Millisecond}
	for name, end := range map[string]func(transport.Conn) error{
		"Close": func(c transport.Conn) error { return c.Close(transport.StatusGoingAway, "restart") },
		"Abort": transport.Conn.Abort,
	} {
		conn, raw := h.opening(t, transport.AcceptOptions{Protocols: []string{"v1"}, Limits: limits})
		discard(t, raw)
		read, token := reading(conn), make(chan string, 1)
		go func() { token <- conn.Protocol() }()
		within(t, limits.CloseTimeout, name, func() {
			if err := end(conn); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			wantLocal(t, "Read", await(t, "Read", read).err)
			if got := await(t, "Protocol", token); got != "" {
				t.Errorf("Protocol %q", got)
			}
		})
	}
}

// checkOpening fails the test if the harness contradicts itself.
func (h Harness) checkOpening(t *testing.T) {
	t.Helper()
	if h.Opening != nil && (h.Offer == nil || h.Frame == nil) {
		t.Fatal("transporttest: the harness has Opening, but no Offer or no Frame")
	}
	if h.Offer != nil && bytes.Equal(h.Offer("a"), h.Offer("b")) {
		t.Fatal("transporttest: Offer does not depend on the tokens")
	}
}
