package fire_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/websocket"
)

func TestMain(m *testing.M) {
	load.RaiseFiles()
	os.Exit(m.Run())
}

// echo is a handler.
func echo(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil }

// ignore is one of signals.
func ignore(context.Context, *server.Signal) {}

// dial connects without a client: the test decides about each message. A connection of 3.0
// has said hello.
func dial(addr string, v protocol.Version) (transport.Conn, error) {
	conn, err := dialSilent(addr, v)
	if err != nil || v < protocol.V3_0 {
		return conn, err
	}
	err = conn.Write(encode(protocol.HelloBody{MessageSize: 1 << 20, StreamCredit: 64 << 10, Requests: 1}.Message()))
	return conn, err
}

// dialSilent is dial without the hello.
func dialSilent(addr string, v protocol.Version) (transport.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), load.Patience)
	defer cancel()
	opts := transport.DialOptions{Limits: transport.Limits{WriteTimeout: load.Patience}}
	if v != protocol.V1_2 { // what is spoken without negotiation
		opts.Protocols = []string{v.Token()}
	}
	return websocket.Dialer{URL: "ws://" + addr + "/", NetDial: smallBuffers}.Dial(ctx, opts)
}

func mustDial(t *testing.T, addr string, v protocol.Version) transport.Conn {
	t.Helper()
	conn, err := dial(addr, v)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Abort() })
	return conn
}

// smallBuffers dials a connection whose peer soon finds out that it does not read.
func smallBuffers(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(16 << 10)
	}
	return conn, err
}

// encode returns a message of 3.0.
func encode(m protocol.Message) []byte { return encodeAs(protocol.V3_0, m) }

func encodeAs(v protocol.Version, m protocol.Message) []byte {
	b, err := v.Append(nil, m)
	if err != nil {
		panic(err) // the test's mistake
	}
	return b
}

// discard reads a connection until it ends.
func discard(conn transport.Conn) (err error) {
	var buf []byte
	for err == nil {
		buf, err = conn.Read(buf[:0])
	}
	return err
}

// upgraded returns a network connection on which a server expects frames.
func upgraded(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_, _ = io.WriteString(conn, handshake) // the answer says it
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	return conn, r
}

const handshake = "GET / HTTP/1.1\r\nHost: server\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// frame returns the header of a masked frame; the mask is zero.
func frame(first byte, length uint64) []byte {
	b := []byte{first}
	switch {
	case length < 126:
		b = append(b, 0x80|byte(length))
	case length < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), length)
	}
	return append(b, 0, 0, 0, 0)
}

// closeStatus reads frames until a close frame comes and returns its status, zero if the
// connection ends without one.
func closeStatus(r *bufio.Reader) transport.Status {
	for {
		var head [2]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return 0
		}
		n := int64(head[1] & 0x7F)
		switch n {
		case 126:
			var b [2]byte
			_, _ = io.ReadFull(r, b[:]) // the next read fails too
			n = int64(binary.BigEndian.Uint16(b[:]))
		case 127:
			var b [8]byte
			_, _ = io.ReadFull(r, b[:]) // the next read fails too
			n = int64(binary.BigEndian.Uint64(b[:]))
		}
		body := make([]byte, min(n, 2))
		if _, err := io.ReadFull(r, body); err != nil {
			return 0
		}
		if head[0]&0xF == 8 && len(body) == 2 {
			return transport.Status(binary.BigEndian.Uint16(body))
		}
		if _, err := io.CopyN(io.Discard, r, n-int64(len(body))); err != nil {
			return 0
		}
	}
}

// healthy asks all the time while during runs, with as many clients, and returns the 99th
// percentile of how long that took. A request that fails ends the test.
func healthy(t *testing.T, addr string, clients int, during func()) time.Duration {
	t.Helper()
	var mu sync.Mutex
	var took []time.Duration
	stop := make(chan struct{})
	var asking sync.WaitGroup
	for range clients {
		asking.Go(func() {
			c := load.NewClient(addr, client.Options{})
			defer c.Close()
			own := make([]time.Duration, 0, load.Either(1<<15, 64)) // which does not grow meanwhile
			ticker := time.NewTicker(load.Either(time.Millisecond, 5*time.Millisecond))
			defer ticker.Stop()
			for first := true; ; first = false {
				began := time.Now()
				if _, err := c.Request(context.Background(), "echo", protocol.Text("x")); err != nil {
					t.Errorf("a healthy client: %v", err)
				}
				if !first { // without connecting
					own = append(own, time.Since(began))
				}
				select {
				case <-stop:
					if len(own) > 0 {
						mu.Lock()
						defer mu.Unlock()
						took = append(took, own...)
						return
					}
				case <-ticker.C:
				}
			}
		})
	}
	func() {
		defer asking.Wait()
		defer close(stop)
		during()
	}()
	return load.Percentile(took, 99)
}

// idle returns the 99th percentile of healthy while nothing else happens.
func idle(t *testing.T, addr string, clients int) time.Duration {
	return healthy(t, addr, clients, func() { time.Sleep(load.Either(2*time.Second, 20*time.Millisecond)) })
}

// wantNothing fails the test if a log contains one of the texts.
func wantNothing(t *testing.T, log *load.Journal, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(log.Text(), text) {
			t.Errorf("the log contains %q", text)
		}
	}
}
