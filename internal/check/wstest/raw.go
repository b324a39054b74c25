package wstest

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// The other end of a connection without any library, for what libraries don't do.

// rawRequest connects to addr and sends a handshake, and more right behind it.
func rawRequest(t testing.TB, addr, more string) net.Conn {
	t.Helper()
	socket, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	if _, err := fmt.Fprintf(socket, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n%s", addr, more); err != nil {
		t.Fatal(err)
	}
	return socket
}

// readAnswer reads exactly the server's answer 101, nothing behind it.
func readAnswer(t testing.TB, socket net.Conn) {
	t.Helper()
	var answer strings.Builder
	for b := make([]byte, 1); !strings.HasSuffix(answer.String(), "\r\n\r\n"); {
		if _, err := socket.Read(b); err != nil {
			t.Fatalf("after %q: %v", answer.String(), err)
		}
		answer.Write(b)
	}
	if !strings.HasPrefix(answer.String(), "HTTP/1.1 101 ") {
		t.Fatalf("answer %q", answer.String())
	}
}

// rawServer accepts one connection, and sends more right behind the answer 101.
func rawServer(t testing.TB, more string) (addr string, sockets <-chan net.Conn) {
	t.Helper()
	return rawAnswer(t, func(key string) string {
		accept := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(accept[:]) + "\r\n\r\n" + more
	})
}

// rawAnswer accepts one connection and sends what answer returns for the key.
func rawAnswer(t testing.TB, answer func(key string) string) (addr string, sockets <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ch := make(chan net.Conn, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		socket, err := l.Accept()
		if err != nil {
			return
		}
		t.Cleanup(func() { socket.Close() })
		r, err := http.ReadRequest(bufio.NewReader(socket))
		if err != nil {
			t.Errorf("request: %v", err)
			return
		}
		if _, err := socket.Write([]byte(answer(r.Header.Get("Sec-WebSocket-Key")))); err != nil {
			t.Errorf("answer: %v", err)
		}
		ch <- socket
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String(), ch
}
