// Package wstest tests the WebSocket transports: what transporttest and rfc6455
// promise, in both directions, with TLS and without, and what only they do:
// handshakes, refusals, origins, proxies, batches, floods.
package wstest

import (
	"sync"
	"testing"

	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/transporttest"
	"github.com/webwire-go/webwire/transport/transporttest/rfc6455"
)

// Library is a WebSocket transport.
type Library struct {
	Upgrader    func(Upgrader) transport.Upgrader
	Dialer      func(wsnet.Endpoint) Dialer
	Goroutines  int                           // that a connection has of its own
	Differences map[string]rfc6455.Difference // to the standard
}

// Upgrader is what the Upgrader of every WebSocket transport has.
type Upgrader struct {
	Origins    []string
	AcceptText bool
}

// Dialer is what the Dialer of every WebSocket transport is.
type Dialer interface {
	transport.Dialer
	transport.Prober
}

// suite holds the tests as methods; Run runs them.
type suite struct{ Library }

// Run runs all tests.
func Run(t *testing.T, lib Library) {
	s := suite{lib}
	t.Run("Client", func(t *testing.T) { transporttest.Run(t, s.client(false)) })
	t.Run("Server", func(t *testing.T) { transporttest.Run(t, s.server(false)) })
	t.Run("TLSClient", func(t *testing.T) { transporttest.Run(t, s.client(true)) })
	t.Run("TLSServer", func(t *testing.T) { transporttest.Run(t, s.server(true)) })
	type own struct {
		name string
		test func(*testing.T)
	}
	// Those that wait for a timeout, and one that keeps the machine busy meanwhile.
	var atOnce sync.WaitGroup
	for _, own := range []own{
		{"RFC6455", func(t *testing.T) {
			rfc6455.Run(t, rfc6455.Harness{Server: s.bareServer, Client: s.bareClient, Differences: lib.Differences})
		}},
		{"Text", s.testText},
		{"EndlessFrames", s.testEndlessFrames},
		{"EndlessKeepAlive", s.testEndlessKeepAlive},
		{"OneCloseFrame", s.testOneCloseFrame},
		{"ProtocolViolation", s.testProtocolViolation},
		{"CloseWithoutDeadlines", s.testCloseWithoutDeadlines},
	} {
		atOnce.Go(func() { t.Run(own.name, own.test) })
	}
	atOnce.Wait()
	for _, own := range []own{
		{"UpgradeThroughMiddleware", s.testUpgradeThroughMiddleware},
		{"UpgradeRefuses", s.testUpgradeRefuses},
		{"UpgradeSameOrigin", s.testUpgradeSameOrigin},
		{"UpgradeKeepsEarlyFrames", s.testUpgradeKeepsEarlyFrames},
		{"UpgradeNegotiatesNoCompression", s.testUpgradeNegotiatesNoCompression},
		{"TextIsNotBuffered", s.testTextIsNotBuffered},
		{"DialContextEnds", s.testDialContextEnds},
		{"DialKeepsEarlyFrames", s.testDialKeepsEarlyFrames},
		{"DialBadURL", s.testDialBadURL},
		{"Refused", s.testRefused},
		{"DialCancelled", s.testDialCancelled},
		{"DialCancelledBeforeConnecting", s.testDialCancelledBeforeConnecting},
		{"DialWrongKey", s.testDialWrongKey},
		{"DialLeavesNoGoroutine", s.testDialLeavesNoGoroutine},
		{"Probe", s.testProbe},
		{"ProbeTooMuch", s.testProbeTooMuch},
		{"DialUntrusted", s.testDialUntrusted},
		{"DialThroughProxy", s.testDialThroughProxy},
		{"ProbeThroughProxy", s.testProbeThroughProxy},
		{"ProxyRefuses", s.testProxyRefuses},
		{"ProxyIsSilent", s.testProxyIsSilent},
		{"CloseIsAnswered", s.testCloseIsAnswered},
		{"AnswersDoNotBlockTheReader", s.testAnswersDoNotBlockTheReader},
		{"WritesAreBatched", s.testWritesAreBatched},
		{"WriteLearnsOfTheClose", s.testWriteLearnsOfTheClose},
		{"NoAllocations", s.testNoAllocations},
	} {
		t.Run(own.name, own.test)
	}
}

func (s suite) client(secure bool) transporttest.Harness {
	h := transporttest.Harness{
		Pair: func(t *testing.T, a, b transport.Limits) (transport.Conn, transport.Conn) {
			return s.pair(t, secure, a, b)
		},
	}
	if !secure {
		h.Bare = s.bareClient
		h.Frame = func(msg []byte) []byte { return append(header(0x82, len(msg), false), msg...) }
		h.Negotiate = func(t *testing.T, offer, supported []string) (transport.Conn, transport.Conn) {
			return s.listen(t, false, Upgrader{}, transport.UpgradeOptions{Protocols: supported}, nil).connect(t, transport.DialOptions{Protocols: offer})
		}
	}
	return h
}

func (s suite) server(secure bool) transporttest.Harness {
	h := transporttest.Harness{
		Pair: func(t *testing.T, a, b transport.Limits) (transport.Conn, transport.Conn) {
			client, server := s.pair(t, secure, b, a)
			return server, client
		},
	}
	if !secure {
		h.Bare = s.bareServer
		h.Frame = func(msg []byte) []byte { return append(header(0x82, len(msg), true), msg...) }
		h.Negotiate = func(t *testing.T, offer, supported []string) (transport.Conn, transport.Conn) {
			client, server := s.listen(t, false, Upgrader{}, transport.UpgradeOptions{Protocols: supported}, nil).connect(t, transport.DialOptions{Protocols: offer})
			return server, client
		}
	}
	return h
}
