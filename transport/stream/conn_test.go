package stream_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/stream"
	"github.com/webwire-go/webwire/transport/transporttest"
)

func TestTCP(t *testing.T) {
	both(t, false, func(t *testing.T) (net.Conn, net.Conn) {
		return netPair(t, "tcp", "127.0.0.1:0", nil)
	})
}

// One end of the slower byte streams is enough: the two differ in the first exchange only.
func TestTLS(t *testing.T) {
	config := selfSigned(t)
	accepted(t, false, func(t *testing.T) (net.Conn, net.Conn) {
		return netPair(t, "tcp", "127.0.0.1:0", config)
	})
}

func TestUnix(t *testing.T) {
	dialled(t, false, func(t *testing.T) (net.Conn, net.Conn) {
		return netPair(t, "unix", filepath.Join(t.TempDir(), "s"), nil)
	})
}

// A net.Pipe stores nothing, which makes every wait for the peer visible.
func TestPipe(t *testing.T) {
	both(t, true, func(t *testing.T) (net.Conn, net.Conn) { return net.Pipe() })
}

// both runs the suite over the connections that pair makes, at either end.
func both(t *testing.T, bubble bool, pair func(*testing.T) (dialled, accepted net.Conn)) {
	t.Run("dialled", func(t *testing.T) { dialled(t, bubble, pair) })
	t.Run("accepted", func(t *testing.T) { accepted(t, bubble, pair) })
}

// dialled runs the suite at the end that dials.
func dialled(t *testing.T, bubble bool, pair func(*testing.T) (dialled, accepted net.Conn)) {
	transporttest.Run(t, transporttest.Harness{
		Pair: func(t *testing.T, a, b transport.Limits) (transport.Conn, transport.Conn) {
			x, y := pair(t)
			return meet(t, x, y, transport.DialOptions{Limits: a}, transport.AcceptOptions{Limits: b})
		},
		Bare: func(t *testing.T, limits transport.Limits) (transport.Conn, net.Conn) {
			x, y := pair(t)
			var answering sync.WaitGroup
			answering.Go(func() {
				if b := make([]byte, 4); !readFull(y, b) || !bytes.Equal(b, []byte{0x84, 0, 0, 0}) {
					t.Errorf("the offer is %x", b)
				}
				if _, err := y.Write([]byte{0x85, 0, 0, 0}); err != nil {
					t.Error(err)
				}
			})
			c, err := stream.Client(t.Context(), x, transport.DialOptions{Limits: limits})
			answering.Wait()
			if err != nil {
				t.Fatal(err)
			}
			return c, y
		},
		Frame: frameOf,
		Negotiate: func(t *testing.T, offer, supported []string) (transport.Conn, transport.Conn) {
			x, y := pair(t)
			return meet(t, x, y, transport.DialOptions{Protocols: offer}, transport.AcceptOptions{Protocols: supported})
		},
		Bubble: bubble,
	})
}

// accepted runs the suite at the end that accepts.
func accepted(t *testing.T, bubble bool, pair func(*testing.T) (dialled, accepted net.Conn)) {
	transporttest.Run(t, transporttest.Harness{
		Pair: func(t *testing.T, a, b transport.Limits) (transport.Conn, transport.Conn) {
			x, y := pair(t)
			c, s := meet(t, x, y, transport.DialOptions{Limits: b}, transport.AcceptOptions{Limits: a})
			return s, c
		},
		Bare: func(t *testing.T, limits transport.Limits) (transport.Conn, net.Conn) {
			x, y := pair(t)
			var offering sync.WaitGroup
			offering.Go(func() {
				if _, err := x.Write([]byte{0x84, 0, 0, 0}); err != nil {
					t.Error(err)
				}
				if b := make([]byte, 4); !readFull(x, b) || !bytes.Equal(b, []byte{0x85, 0, 0, 0}) {
					t.Errorf("the answer is %x", b)
				}
			})
			s := accepting(y, limits)
			_ = s.Protocol()
			offering.Wait()
			return s, x
		},
		Frame: frameOf,
		Opening: func(t *testing.T, opts transport.AcceptOptions) (transport.Conn, net.Conn) {
			x, y := pair(t)
			return stream.Server(y, opts), x
		},
		Offer: func(tokens ...string) []byte { return exchangeFrame(0x84, strings.Join(tokens, ",")) },
		Negotiate: func(t *testing.T, offer, supported []string) (transport.Conn, transport.Conn) {
			x, y := pair(t)
			c, s := meet(t, x, y, transport.DialOptions{Protocols: offer}, transport.AcceptOptions{Protocols: supported})
			return s, c
		},
		Bubble: bubble,
	})
}

// exchangeFrame returns a frame of the first exchange.
func exchangeFrame(first byte, body string) []byte {
	return append([]byte{first, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

// frameOf returns msg as one frame.
func frameOf(msg []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(msg))), msg...)
}

// meet makes a connection of the two ends of a byte stream.
func meet(t testing.TB, x, y net.Conn, dial transport.DialOptions, accept transport.AcceptOptions) (dialled, accepted transport.Conn) {
	t.Helper()
	accepted = stream.Server(y, accept)
	var accepting sync.WaitGroup
	accepting.Go(func() { _ = accepted.Protocol() })
	dialled, err := stream.Client(t.Context(), x, dial)
	accepting.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return dialled, accepted
}

func accepting(nc net.Conn, limits transport.Limits) transport.Conn {
	return stream.Server(nc, transport.AcceptOptions{Limits: limits})
}

func readFull(r io.Reader, b []byte) bool {
	_, err := io.ReadFull(r, b)
	return err == nil
}

// netPair connects two sockets, with TLS if config is not nil.
func netPair(t testing.TB, network, address string, config *tls.Config) (dialled, accepted net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var accepting sync.WaitGroup
	accepting.Go(func() { accepted, err = l.Accept() })
	dialled, dialErr := net.Dial(network, l.Addr().String())
	accepting.Wait()
	if err != nil || dialErr != nil {
		t.Fatal(err, dialErr)
	}
	if config == nil {
		return dialled, accepted
	}
	client, server := tls.Client(dialled, config), tls.Server(accepted, config)
	accepting.Go(func() { err = server.Handshake() })
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	accepting.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

// selfSigned returns a configuration for both ends.
func selfSigned(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs:      roots,
		ServerName:   "localhost",
	}
}

// nameless is a net.Conn without addresses.
type nameless struct{ net.Conn }

func (nameless) LocalAddr() net.Addr  { return nil }
func (nameless) RemoteAddr() net.Addr { return nil }

func TestUnknownAddress(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	c := accepting(nameless{near}, transport.Limits{})
	defer c.Abort()
	for _, addr := range []net.Addr{c.LocalAddr(), c.RemoteAddr()} {
		if addr == nil || addr.String() != "unknown" {
			t.Errorf("address %v", addr)
		}
	}
}
