package e2e_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/stream"
	"github.com/webwire-go/webwire/transport/websocket"
)

// patience is how long to wait for what should come at once.
const patience = time.Minute

// way is a way to connect client and server over real sockets.
type way struct {
	name string
	open func(t *testing.T, srv *server.Server) transport.Dialer
}

var ways = []way{
	{"ws", func(t *testing.T, srv *server.Server) transport.Dialer { return overHTTP(t, srv, false) }},
	{"wss", func(t *testing.T, srv *server.Server) transport.Dialer { return overHTTP(t, srv, true) }},
	{"tcp", func(t *testing.T, srv *server.Server) transport.Dialer {
		return overStream(t, srv, "tcp", "127.0.0.1:0", false)
	}},
	{"tls", func(t *testing.T, srv *server.Server) transport.Dialer {
		return overStream(t, srv, "tcp", "127.0.0.1:0", true)
	}},
	{"unix", func(t *testing.T, srv *server.Server) transport.Dialer {
		dir, err := os.MkdirTemp("", "ww") // that of the test may be too long for a socket
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		return overStream(t, srv, "unix", filepath.Join(dir, "s"), false)
	}},
}

// eachWay runs a test over every transport.
func eachWay(t *testing.T, test func(t *testing.T, w way)) {
	if runtime.GOOS == "windows" {
		t.Skip("no unix sockets for sure")
	}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) { test(t, w) })
	}
}

// eachWayAtOnce is eachWay for tests that wait most of their time.
func eachWayAtOnce(t *testing.T, test func(t *testing.T, w way)) {
	if runtime.GOOS == "windows" {
		t.Skip("no unix sockets for sure")
	}
	var all sync.WaitGroup
	for _, w := range ways {
		all.Go(func() { t.Run(w.name, func(t *testing.T) { test(t, w) }) })
	}
	all.Wait()
}

// site is a server, a way to it, and a client.
type site struct {
	*server.Server
	client *client.Client
}

// start starts a server and a client. When the test is over no goroutine is left.
func (w way) start(t *testing.T, sopts server.Options, copts client.Options) *site {
	t.Helper()
	leakFree(t)
	srv := server.New(withUpgrader(sopts))
	dialer := w.open(t, srv)
	c := client.New(dialer, copts)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return &site{srv, c}
}

func withUpgrader(opts server.Options) server.Options {
	opts.Upgrader = &websocket.Upgrader{}
	return opts
}

func overHTTP(t *testing.T, srv *server.Server, secure bool) transport.Dialer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dialer := websocket.Dialer{URL: "ws://" + ln.Addr().String()}
	if secure {
		config, roots := certificates(t)
		ln = tls.NewListener(ln, config)
		dialer.URL = "wss://" + ln.Addr().String()
		dialer.TLS = &tls.Config{RootCAs: roots}
	}
	web := &http.Server{Handler: srv, ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan error, 1)
	go func() { served <- web.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(srv.Shutdown(ctx), web.Shutdown(ctx)); err != nil {
			t.Error(err)
		}
		<-served
	})
	return dialer
}

func overStream(t *testing.T, srv *server.Server, network, address string, secure bool) transport.Dialer {
	t.Helper()
	var dialer stream.Dialer
	var config *tls.Config
	if secure {
		var roots *x509.CertPool
		config, roots = certificates(t)
		dialer.TLS = &tls.Config{RootCAs: roots}
	}
	ln, err := stream.Listen(network, address, config)
	if err != nil {
		t.Fatal(err)
	}
	dialer.Network, dialer.Address = network, ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != server.ErrServerClosed {
			t.Errorf("Serve returned %v", err)
		}
	})
	return dialer
}

// certificates returns the configuration of a server at 127.0.0.1, and the
// authority that its certificate is of.
func certificates(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	authority, authorityKey := certificate(t, nil, nil)
	leaf, key := certificate(t, authority, authorityKey)
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}},
		NextProtos:   []string{"http/1.1"},
	}, roots
}

// certificate makes a certificate of an authority, or the authority itself.
func certificate(t *testing.T, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "WebWire test"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	if parent == nil {
		template.IsCA, template.BasicConstraintsValid = true, true
		template.KeyUsage = x509.KeyUsageCertSign
		parent, parentKey = template, key
	} else {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// leakFree fails the test if a goroutine of this module is left at its end, after
// all that was cleaned up later than this.
func leakFree(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		var left string
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if left = ours(); left == "" {
				return
			}
		}
		t.Errorf("goroutines are left:\n%s", left)
	})
}

// ours returns the stacks of goroutines that run code of this module, but for the
// one that asks, those of tests that wait for it, and those of parallel tests that
// wait for their turn.
func ours() string {
	buf := make([]byte, 1<<20)
	var left []string
	for _, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "webwire-go/webwire/") && !strings.Contains(stack, "e2e_test.ours") && !strings.Contains(stack, "testing.(*T).Run") && !strings.Contains(stack, "testing.(*T).Parallel") {
			left = append(left, stack)
		}
	}
	return strings.Join(left, "\n\n")
}
