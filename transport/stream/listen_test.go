package stream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/stream"
)

// A Dialer and a Listener of the same kind make connections.
func TestDialAndListen(t *testing.T) {
	config := selfSigned(t)
	for name, c := range map[string]struct {
		network, address string
		config           *tls.Config
	}{
		"tcp":  {"", "127.0.0.1:0", nil},
		"tls":  {"tcp", "127.0.0.1:0", config},
		"unix": {"unix", filepath.Join(t.TempDir(), "socket"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			network := c.network
			if network == "" {
				network = "tcp"
			}
			l, err := stream.Listen(network, c.address, c.config)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			var server sync.WaitGroup
			server.Go(func() {
				conn, err := l.Accept(transport.AcceptOptions{})
				if err != nil {
					t.Errorf("Accept: %v", err)
					return
				}
				defer conn.Abort()
				// The first use is a Write, which must not wait for a Read to do the handshake.
				if err := conn.Write([]byte("welcome")); err != nil {
					t.Errorf("Write: %v", err)
				}
				_, err = conn.Read(nil)
				if closed := (*transport.CloseError)(nil); !errors.As(err, &closed) || closed.Local {
					t.Errorf("Read: %v", err)
				}
			})
			defer server.Wait()
			d := stream.Dialer{Network: c.network, Address: l.Addr().String(), TLS: c.config}
			ctx, cancel := context.WithCancel(t.Context())
			conn, err := d.Dial(ctx, transport.DialOptions{Protocols: []string{"ignored"}})
			if err != nil {
				t.Fatal(err)
			}
			cancel() // means nothing to the connection
			if msg, err := conn.Read(nil); string(msg) != "welcome" || err != nil {
				t.Errorf("Read %q, %v", msg, err)
			}
			if err := conn.Close(transport.StatusNormalClosure, ""); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

func TestListenerClosed(t *testing.T) {
	l, err := stream.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error, 1)
	go func() {
		_, err := l.Accept(transport.AcceptOptions{})
		accepted <- err
	}()
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	d := stream.Dialer{Address: l.Addr().String()}
	if _, err := d.Dial(t.Context(), transport.DialOptions{}); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Dial(ctx, transport.DialOptions{}); err != context.Canceled {
		t.Errorf("Dial with a context that is done: %v", err)
	}
	if _, err := stream.Listen("tcp", "256.0.0.1:x", nil); err == nil {
		t.Error("Listen at a nonsensical address")
	}
}

// A client that connects and says nothing costs a Write as little as a Read.
func TestHandshakeIsBounded(t *testing.T) {
	config := selfSigned(t)
	for name, use := range map[string]func(transport.Conn) error{
		"Read":  func(c transport.Conn) error { _, err := c.Read(nil); return err },
		"Write": func(c transport.Conn) error { return c.Write([]byte("x")) },
		"Ping":  func(c transport.Conn) error { return c.Ping() },
	} {
		t.Run(name, func(t *testing.T) {
			silent, accepted := netPair(t, "tcp", "127.0.0.1:0", nil)
			defer silent.Close()
			c := accepting(tls.Server(accepted, config), transport.Limits{
				ReadTimeout:  100 * time.Millisecond,
				WriteTimeout: 100 * time.Millisecond,
			})
			if err := use(c); err == nil {
				t.Error("worked without a handshake")
			}
			if err := c.Close(transport.StatusNormalClosure, ""); err != nil {
				t.Errorf("Close: %v", err)
			}
			if _, err := silent.Read(make([]byte, 1)); err == nil {
				t.Error("the connection is still there")
			}
		})
	}
}

// What breaks the framing is answered by a close with its status.
func TestMalformedFrames(t *testing.T) {
	for name, bytes := range map[string][]byte{
		"unknown operation": {0x86, 0, 0, 0},
		"operation zero":    {0x80, 0, 0, 0},
		"ping with a body":  {0x81, 0, 0, 1, 0},
		"close of one byte": {0x83, 0, 0, 1, 0},
		"close too long":    {0x83, 0, 0, 126},
		"unsendable status": {0x83, 0, 0, 2, 1005 >> 8, 1005 & 0xff},
		"reason not UTF-8":  {0x83, 0, 0, 3, 1000 >> 8, 1000 & 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			x, raw := netPair(t, "tcp", "127.0.0.1:0", nil)
			defer raw.Close()
			c := accepting(x, transport.Limits{CloseTimeout: 5 * time.Second})
			answer := make(chan []byte, 1)
			go func() {
				raw.Write(bytes)
				head := make([]byte, 6)
				io.ReadFull(raw, head)
				answer <- head
				raw.Close()
			}()
			_, err := c.Read(nil)
			closed := (*transport.CloseError)(nil)
			if !errors.As(err, &closed) || closed.Status != transport.StatusProtocolError || !closed.Local {
				t.Errorf("Read: %v", err)
			}
			if head := <-answer; head[0] != 0x83 || head[4] != 1002>>8 || head[5] != 1002&0xff {
				t.Errorf("answered by %x", head)
			}
		})
	}
}

// A peer may close without a status.
func TestCloseWithoutStatus(t *testing.T) {
	x, raw := netPair(t, "tcp", "127.0.0.1:0", nil)
	defer raw.Close()
	c := accepting(x, transport.Limits{})
	if _, err := raw.Write([]byte{0x83, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	_, err := c.Read(nil)
	closed := (*transport.CloseError)(nil)
	if !errors.As(err, &closed) || *closed != (transport.CloseError{Status: transport.StatusNoStatusReceived}) {
		t.Errorf("Read: %v", err)
	}
	rest, err := io.ReadAll(raw)
	if err != nil || string(rest) != "\x83\x00\x00\x00" {
		t.Errorf("answered by %x, %v", rest, err)
	}
}
