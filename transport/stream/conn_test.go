package stream_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"math/big"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/stream"
	"github.com/webwire-go/webwire/transport/transporttest"
)

func TestTCP(t *testing.T) {
	transporttest.Run(t, harness(func(t *testing.T) (net.Conn, net.Conn) {
		return netPair(t, "tcp", "127.0.0.1:0", nil)
	}))
}

func TestTLS(t *testing.T) {
	config := selfSigned(t)
	transporttest.Run(t, harness(func(t *testing.T) (net.Conn, net.Conn) {
		return netPair(t, "tcp", "127.0.0.1:0", config)
	}))
}

func TestUnix(t *testing.T) {
	transporttest.Run(t, harness(func(t *testing.T) (net.Conn, net.Conn) {
		return netPair(t, "unix", filepath.Join(t.TempDir(), "s"), nil)
	}))
}

// A net.Pipe stores nothing, which makes every wait for the peer visible.
func TestPipe(t *testing.T) {
	h := harness(func(t *testing.T) (net.Conn, net.Conn) { return net.Pipe() })
	h.Bubble = true
	transporttest.Run(t, h)
}

// harness runs the suite over the connections that pair makes.
func harness(pair func(*testing.T) (net.Conn, net.Conn)) transporttest.Harness {
	return transporttest.Harness{
		Pair: func(t *testing.T, a, b transport.Limits) (transport.Conn, transport.Conn) {
			x, y := pair(t)
			return limited(x, a), limited(y, b)
		},
		Bare: func(t *testing.T, limits transport.Limits) (transport.Conn, net.Conn) {
			x, y := pair(t)
			return limited(x, limits), y
		},
		Frame: func(msg []byte) []byte {
			return append(binary.BigEndian.AppendUint32(nil, uint32(len(msg))), msg...)
		},
	}
}

func limited(nc net.Conn, limits transport.Limits) transport.Conn {
	c := stream.New(nc)
	c.SetLimits(limits)
	return c
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

func (nameless) RemoteAddr() net.Addr { return nil }

func TestUnknownAddress(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	c := stream.New(nameless{near})
	defer c.Abort()
	if addr := c.RemoteAddr(); addr == nil || addr.String() != "unknown" {
		t.Errorf("RemoteAddr %v", addr)
	}
}
