package wstest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/transport"
)

// A host is a server that hands every connection it upgrades to the test.
type host struct {
	*httptest.Server
	suite suite
	conns chan transport.Conn
}

// listen starts a host; wrap, if not nil, is the middleware before it.
func (s suite) listen(t testing.TB, secure bool, u Upgrader, opts transport.UpgradeOptions, wrap func(http.Handler) http.Handler) *host {
	h := &host{suite: s, conns: make(chan transport.Conn, 1)}
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := s.Upgrader(u).Upgrade(w, r, opts)
		if err != nil {
			t.Errorf("Upgrade: %v", err)
			return
		}
		h.conns <- conn
	})
	if wrap != nil {
		handler = wrap(handler)
	}
	h.Server = httptest.NewUnstartedServer(handler)
	if secure {
		h.StartTLS()
	} else {
		h.Start()
	}
	t.Cleanup(h.Close)
	return h
}

// dialer connects to the host.
func (h *host) endpoint() wsnet.Endpoint {
	d := wsnet.Endpoint{URL: h.URL}
	if cert := h.Certificate(); cert != nil {
		d.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
		d.TLS.RootCAs.AddCert(cert)
	}
	return d
}

// connect returns both ends of a new connection.
func (h *host) connect(t testing.TB, opts transport.DialOptions) (client, server transport.Conn) {
	t.Helper()
	client, err := h.suite.Dialer(h.endpoint()).Dial(t.Context(), opts)
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	return client, <-h.conns
}

// Pair returns both ends of a new connection.
func (lib Library) Pair(t testing.TB) (client, server transport.Conn) {
	return suite{lib}.pair(t, false, transport.Limits{}, transport.Limits{})
}

// pair returns both ends of a new connection with limits.
func (s suite) pair(t testing.TB, secure bool, atClient, atServer transport.Limits) (client, server transport.Conn) {
	t.Helper()
	h := s.listen(t, secure, Upgrader{}, transport.UpgradeOptions{Limits: atServer}, nil)
	return h.connect(t, transport.DialOptions{Limits: atClient})
}

// header returns the header of a frame; its mask, if it has one, is zero, which
// leaves the payload as it is.
func header(first byte, length int, masked bool) []byte {
	var mask byte
	if masked {
		mask = 0x80
	}
	h := []byte{first}
	switch {
	case length < 126:
		h = append(h, mask|byte(length))
	case length < 1<<16:
		h = binary.BigEndian.AppendUint16(append(h, mask|126), uint16(length))
	default:
		h = binary.BigEndian.AppendUint64(append(h, mask|127), uint64(length))
	}
	if masked {
		h = append(h, 0, 0, 0, 0)
	}
	return h
}

// bareServer returns the server's end of a connection, and the client's socket.
func (s suite) bareServer(t *testing.T, limits transport.Limits) (transport.Conn, net.Conn) {
	h := s.listen(t, false, Upgrader{}, transport.UpgradeOptions{Limits: limits}, nil)
	socket := rawRequest(t, h.Listener.Addr().String(), "")
	readAnswer(t, socket)
	return <-h.conns, socket
}

// bareClient returns the client's end of a connection, and the server's socket.
func (s suite) bareClient(t *testing.T, limits transport.Limits) (transport.Conn, net.Conn) {
	addr, sockets := rawServer(t, "")
	client, err := s.Dialer(wsnet.Endpoint{URL: "ws://" + addr}).Dial(t.Context(), transport.DialOptions{Limits: limits})
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	return client, <-sockets
}
