package transporttest_test

import (
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/stream"
	"github.com/webwire-go/webwire/transport/transporttest"
)

// A mutant breaks one promise of a good transport.
type mutant struct {
	promise string // the test that finds it
	connect func(t *testing.T, dial transport.DialOptions, accept transport.AcceptOptions) (dialled, accepted transport.Conn)
	opening func(*testing.T, transport.AcceptOptions) (transport.Conn, net.Conn)
	offer   func(tokens ...string) []byte
}

var mutants = map[string]mutant{
	"the dialling end ignores its limits": {promise: "LimitsFromTheStart",
		connect: func(t *testing.T, dial transport.DialOptions, accept transport.AcceptOptions) (transport.Conn, transport.Conn) {
			dial.Limits = transport.Limits{}
			return goodConnect(t, dial, accept)
		}},
	"the accepting end ignores its limits": {promise: "LimitsFromTheStart",
		connect: func(t *testing.T, dial transport.DialOptions, accept transport.AcceptOptions) (transport.Conn, transport.Conn) {
			accept.Limits = transport.Limits{}
			return goodConnect(t, dial, accept)
		}},
	"the preference is that of the dialling end": {promise: "Negotiation",
		connect: func(t *testing.T, dial transport.DialOptions, accept transport.AcceptOptions) (transport.Conn, transport.Conn) {
			accept.Protocols = slices.Clone(accept.Protocols)
			slices.SortFunc(accept.Protocols, func(a, b string) int {
				return slices.Index(dial.Protocols, a) - slices.Index(dial.Protocols, b)
			})
			return goodConnect(t, dial, accept)
		}},
	"one end does not know what was agreed on": {promise: "Negotiation",
		connect: func(t *testing.T, dial transport.DialOptions, accept transport.AcceptOptions) (transport.Conn, transport.Conn) {
			a, b := goodConnect(t, dial, accept)
			return unaware{a}, b
		}},
	"the peer's tokens are nil": {promise: "Negotiation",
		connect: func(t *testing.T, dial transport.DialOptions, accept transport.AcceptOptions) (transport.Conn, transport.Conn) {
			a, b := goodConnect(t, dial, accept)
			return a, forgetful{b}
		}},
	"no local address": {promise: "Identity",
		connect: func(t *testing.T, dial transport.DialOptions, accept transport.AcceptOptions) (transport.Conn, transport.Conn) {
			a, b := goodConnect(t, dial, accept)
			return a, nowhere{b}
		}},
	"an offer has more time than the limits": {promise: "OfferIsCut",
		opening: func(t *testing.T, opts transport.AcceptOptions) (transport.Conn, net.Conn) {
			opts.Limits = transport.Limits{}
			return goodOpening(t, opts)
		}},
	"an offer need not progress": {promise: "OfferTrickles",
		opening: func(t *testing.T, opts transport.AcceptOptions) (transport.Conn, net.Conn) {
			opts.Limits = transport.Limits{}
			return goodOpening(t, opts)
		}},
	"the first message is lost": {promise: "NothingNegotiated",
		opening: func(t *testing.T, opts transport.AcceptOptions) (transport.Conn, net.Conn) {
			conn, raw := goodOpening(t, opts)
			return &losing{Conn: conn}, raw
		}},
	"the message behind an offer is lost": {promise: "OfferInAnyPieces",
		opening: func(t *testing.T, opts transport.AcceptOptions) (transport.Conn, net.Conn) {
			conn, raw := goodOpening(t, opts)
			return &losing{Conn: conn}, raw
		}},
	"a long offer is taken": {promise: "OfferOverTheLimit",
		offer: func(tokens ...string) []byte { return goodOffer(tokens[:min(len(tokens), 60)]...) }},
	"Protocol outlives a peer that is gone": {promise: "OfferOfAPeerThatIsGone",
		opening: func(t *testing.T, opts transport.AcceptOptions) (transport.Conn, net.Conn) {
			conn, raw := goodOpening(t, opts)
			return hopeful{conn}, raw
		}},
}

type unaware struct{ transport.Conn }

func (unaware) Protocol() string { return "" }

type forgetful struct{ transport.Conn }

func (forgetful) PeerProtocols() ([]string, error) { return nil, nil }

type nowhere struct{ transport.Conn }

func (nowhere) LocalAddr() net.Addr { return nil }

type hopeful struct{ transport.Conn }

func (hopeful) Protocol() string { return "v1" }

// losing loses the first message.
type losing struct {
	transport.Conn
	once sync.Once
}

func (c *losing) Read(buf []byte) ([]byte, error) {
	c.once.Do(func() { _, _ = c.Conn.Read(nil) })
	return c.Conn.Read(buf)
}

func goodConnect(t *testing.T, dial transport.DialOptions, accept transport.AcceptOptions) (dialled, accepted transport.Conn) {
	ln := memory.Listen()
	var accepting sync.WaitGroup
	accepting.Go(func() { accepted, _ = ln.Accept(accept) })
	dialled, err := ln.Dial(t.Context(), dial)
	if err != nil {
		t.Fatal(err)
	}
	accepting.Wait()
	return dialled, accepted
}

func goodOpening(_ *testing.T, opts transport.AcceptOptions) (transport.Conn, net.Conn) {
	near, raw := net.Pipe()
	return stream.Server(near, opts), raw
}

func goodOffer(tokens ...string) []byte {
	body := strings.Join(tokens, ",")
	return append([]byte{0x84, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

func goodFrame(msg []byte) []byte {
	return append([]byte{0, byte(len(msg) >> 16), byte(len(msg) >> 8), byte(len(msg))}, msg...)
}

// mutantName is the variable that makes TestMutant run one.
const mutantName = "TRANSPORTTEST_MUTANT"

// TestMutant runs the suite on what is named by the environment; "none" breaks nothing.
func TestMutant(t *testing.T) {
	name, ok := os.LookupEnv(mutantName)
	if !ok {
		t.Skip("it is run by TestMutantsAreFound")
	}
	m := mutants[name]
	if m.connect == nil {
		m.connect = goodConnect
	}
	if m.opening == nil {
		m.opening = goodOpening
	}
	if m.offer == nil {
		m.offer = goodOffer
	}
	transporttest.Run(t, transporttest.Harness{
		Bubble: true,
		Pair: func(t *testing.T, a, b transport.Limits) (transport.Conn, transport.Conn) {
			return m.connect(t, transport.DialOptions{Limits: a}, transport.AcceptOptions{Limits: b})
		},
		Negotiate: func(t *testing.T, offer, supported []string) (transport.Conn, transport.Conn) {
			return m.connect(t, transport.DialOptions{Protocols: offer}, transport.AcceptOptions{Protocols: supported})
		},
		Opening: m.opening,
		Offer:   m.offer,
		Frame:   goodFrame,
	})
}

// Each mutant fails the test that is about what it breaks, and what is not broken passes.
func TestMutantsAreFound(t *testing.T) {
	run := func(name, promise string) (string, error) {
		cmd := exec.Command(os.Args[0], "-test.run=^TestMutant$/^"+promise+"$", "-test.v", "-test.timeout=60s")
		cmd.Env = append(os.Environ(), mutantName+"="+name)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	var promises []string
	for _, m := range mutants {
		promises = append(promises, m.promise)
	}
	out, err := run("none", "("+strings.Join(promises, "|")+")")
	for _, promise := range promises {
		if err != nil || !strings.Contains(out, "--- PASS: TestMutant/"+promise) {
			t.Fatalf("%s fails without a mutant: %v\n%s", promise, err, out)
		}
	}
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			if out, err := run(name, m.promise); err == nil || !strings.Contains(out, "--- FAIL: TestMutant/"+m.promise) {
				t.Errorf("%s does not find it: %v\n%s", m.promise, err, out)
			}
		})
	}
}
