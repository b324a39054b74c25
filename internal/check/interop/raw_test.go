package interop_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// frames is one end of a WebSocket without any library, for what the published
// implementations do that libraries would do differently.
type frames struct {
	net.Conn
	r      *bufio.Reader
	client bool // whose frames are masked
}

// Opcodes.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

const fin = 0x80

// patience bounds what should happen at once.
const patience = time.Minute

// frame sends one frame.
func (f *frames) frame(first byte, payload []byte) error {
	head := []byte{first, byte(len(payload))}
	switch {
	case len(payload) >= 1<<16:
		head[1] = 127
		head = binary.BigEndian.AppendUint64(head, uint64(len(payload)))
	case len(payload) > 125:
		head[1] = 126
		head = binary.BigEndian.AppendUint16(head, uint16(len(payload)))
	}
	body := append([]byte(nil), payload...)
	if f.client {
		head[1] |= 0x80
		mask := []byte{1, 2, 3, 4}
		head = append(head, mask...)
		for i := range body {
			body[i] ^= mask[i%4]
		}
	}
	_, err := f.Write(append(head, body...))
	return err
}

// next returns the next frame. Its first byte has the opcode and fin.
func (f *frames) next() (first byte, payload []byte, err error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(f.r, head); err != nil {
		return 0, nil, err
	}
	size := uint64(head[1] & 0x7f)
	long := make([]byte, 8)
	switch size {
	case 126:
		_, err = io.ReadFull(f.r, long[6:])
		size = binary.BigEndian.Uint64(long)
	case 127:
		_, err = io.ReadFull(f.r, long)
		size = binary.BigEndian.Uint64(long)
	}
	if err != nil {
		return 0, nil, err
	}
	if size > 64<<20 {
		return 0, nil, errors.New("a frame of an absurd length")
	}
	var mask [4]byte
	if head[1]&0x80 != 0 {
		if _, err := io.ReadFull(f.r, mask[:]); err != nil {
			return 0, nil, err
		}
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(f.r, payload)
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return head[0], payload, err
}

// rawClient is a published client, as far as the wire shows.
type rawClient struct {
	frames
	t *testing.T
}

// dialRaw opens a WebSocket as published clients do: they offer no protocols, and
// browsers and Node offer compression.
func dialRaw(t *testing.T, addr string, header ...string) *rawClient {
	t.Helper()
	socket, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	_ = socket.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(socket, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"+
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nOrigin: http://elsewhere.example\r\n%s\r\n",
		addr, strings.Join(header, ""))
	c := &rawClient{frames{socket, bufio.NewReader(socket), true}, t}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols ||
		!strings.EqualFold(resp.Header.Get("Upgrade"), "websocket") || !strings.EqualFold(resp.Header.Get("Connection"), "upgrade") ||
		resp.Header.Get("Sec-WebSocket-Accept") != acceptKey("AAAAAAAAAAAAAAAAAAAAAA==") || resp.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Fatalf("answer %s %v", resp.Status, resp.Header)
	}
	if got := resp.Header.Values("Sec-WebSocket-Protocol"); len(header) == 0 && len(got) > 0 {
		t.Fatalf("the server chose the protocol %q, which was not offered", got)
	}
	return c
}

func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// send sends a message given as hexadecimal digits, and text in quotes.
func (c *rawClient) send(parts ...string) {
	c.t.Helper()
	if err := c.frame(fin|opBinary, message(c.t, parts)); err != nil {
		c.t.Fatal(err)
	}
}

// message puts a message together: parts that begin with a quote are text.
func message(t *testing.T, parts []string) []byte {
	t.Helper()
	var msg []byte
	for _, part := range parts {
		if text, ok := strings.CutPrefix(part, "'"); ok {
			msg = append(msg, text...)
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		msg = append(msg, b...)
	}
	return msg
}

// receive returns the next message, whose pings it answers.
func (c *rawClient) receive() []byte {
	c.t.Helper()
	for {
		first, payload, err := c.next()
		switch {
		case err != nil:
			c.t.Fatal(err)
		case first == fin|opPing:
			_ = c.frame(fin|opPong, payload)
		case first == fin|opBinary:
			return payload
		default:
			c.t.Fatalf("frame %#x %q, want a whole binary message", first, payload)
		}
	}
}

// expect compares the next message.
func (c *rawClient) expect(parts ...string) {
	c.t.Helper()
	if got, want := c.receive(), message(c.t, parts); string(got) != string(want) {
		c.t.Fatalf("got  %x %q\nwant %x %q", got, got, want, want)
	}
}

// expectPrefix compares the beginning of the next message and returns the rest.
func (c *rawClient) expectPrefix(parts ...string) string {
	c.t.Helper()
	got, want := c.receive(), message(c.t, parts)
	rest, ok := strings.CutPrefix(string(got), string(want))
	if !ok {
		c.t.Fatalf("got  %x %q\nwant %x... %q", got, got, want, want)
	}
	return rest
}

// expectClose returns the status of the close frame that comes next.
func (c *rawClient) expectClose() (status int) {
	c.t.Helper()
	first, payload, err := c.next()
	if err != nil || first != fin|opClose || len(payload) < 2 {
		c.t.Fatalf("frame %#x %q, %v, want a close", first, payload, err)
	}
	return int(binary.BigEndian.Uint16(payload))
}

// rawServer accepts WebSockets as the published servers do, whose library
// chooses no protocol, and calls serve with each.
func rawServer(t *testing.T, metadata http.HandlerFunc, serve func(f *frames)) (addr string) {
	t.Helper()
	return listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "WEBWIRE" {
			metadata(w, r)
			return
		}
		key := r.Header.Get("Sec-WebSocket-Key")
		if key == "" {
			http.Error(w, "Bad Request", http.StatusBadRequest)
			return
		}
		socket, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer socket.Close()
		_ = socket.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(socket, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", acceptKey(key))
		serve(&frames{Conn: socket, r: rw.Reader})
	}))
}

// listen serves HTTP until the test ends, and waits for handlers.
func listen(t *testing.T, h http.Handler) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(ln)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-served
	})
	return ln.Addr().String()
}

// request sends an HTTP request byte by byte as it is given, and returns the answer.
func request(t *testing.T, addr, text string) (*http.Response, string) {
	t.Helper()
	socket, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	_ = socket.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(socket, text); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(socket), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// soon returns what comes from ch.
func soon[T any](t *testing.T, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(patience):
		t.Fatal("nothing happens")
	}
	return v
}
