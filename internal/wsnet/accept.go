package wsnet

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// An Acceptance is the server's side of one handshake. It is the http.ResponseWriter to pass
// to the library, together with Request.
//
// Middleware between net/http and the library may hold back the status of an answer until
// there is a body, and an answer with status 101 has none. An Acceptance therefore hijacks
// the connection first and writes a 101 directly to it. Other answers are written normally.
type Acceptance struct {
	w        http.ResponseWriter
	request  *http.Request
	header   http.Header // of the library's answer
	protocol string

	answered bool // nothing may be written to w any more
	bare     Bare // Wire is nil until the connection is taken
	err      error
}

// Accept prepares a handshake: it checks the origin and chooses the first supported protocol
// that the client offers. If it returns an error it has answered the request.
func Accept(w http.ResponseWriter, r *http.Request, origins, supported []string) (*Acceptance, error) {
	if err := CheckOrigin(r, origins); err != nil {
		http.Error(w, "this origin is not allowed to connect", http.StatusForbidden)
		return nil, fmt.Errorf("websocket: upgrade: %w", err)
	}
	if r.ProtoMajor != 1 {
		http.Error(w, "WebSocket connections are made with HTTP/1.1", http.StatusUpgradeRequired)
		return nil, fmt.Errorf("websocket: upgrade: the request came over %.20q, not HTTP/1.1", r.Proto)
	}
	a := &Acceptance{w: w, header: make(http.Header), protocol: choose(r.Header, supported)}
	a.request = plain(r, a.protocol)
	return a, nil
}

// Request returns the request in a form that the library understands.
func (a *Acceptance) Request() *http.Request { return a.request }

// plain returns r with the headers of the handshake as most clients send them. What RFC
// 9110 allows besides are several lines, lists, empty elements and other cases.
func plain(r *http.Request, protocol string) *http.Request {
	h := r.Header.Clone()
	for name, token := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Version": "13"} {
		if slices.ContainsFunc(tokens(r.Header, name), func(t string) bool { return strings.EqualFold(t, token) }) {
			h.Set(name, token)
		}
	}
	h.Del("Sec-WebSocket-Protocol")
	if protocol != "" {
		h.Set("Sec-WebSocket-Protocol", protocol)
	}
	h.Del("Sec-WebSocket-Extensions") // none are agreed on
	same := *r
	same.Header = h
	return &same
}

// tokens returns the elements of a header that is a list.
func tokens(h http.Header, name string) (all []string) {
	for _, line := range h.Values(name) {
		for token := range strings.SplitSeq(line, ",") {
			if token = strings.TrimSpace(token); token != "" {
				all = append(all, token)
			}
		}
	}
	return all
}

// choose returns the first of supported that is offered.
func choose(h http.Header, supported []string) string {
	offered := tokens(h, "Sec-WebSocket-Protocol")
	for _, token := range supported {
		if slices.Contains(offered, token) {
			return token
		}
	}
	return ""
}

// Protocol returns the chosen protocol, or the empty string if there is none.
func (a *Acceptance) Protocol() string { return a.protocol }

// Protocols returns the chosen protocol as a list, as the library expects it.
func (a *Acceptance) Protocols() []string {
	if a.protocol == "" {
		return nil
	}
	return []string{a.protocol}
}

// Bare returns the network connection after a successful handshake.
func (a *Acceptance) Bare() Bare { return a.bare }

// Fail releases the resources of a failed handshake and returns the error to report for err.
func (a *Acceptance) Fail(err error) error {
	if a.bare.Wire != nil {
		a.bare.Wire.Close()
	}
	if a.err != nil {
		err = a.err
	}
	return fmt.Errorf("websocket: upgrade: %w", err)
}

// Header implements http.ResponseWriter.
func (a *Acceptance) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *Acceptance) WriteHeader(status int) {
	switch {
	case a.answered:
	case status == http.StatusSwitchingProtocols:
		a.answered = true
		a.switchProtocols()
	default:
		a.answered = true
		for name, values := range a.header {
			a.w.Header()[name] = values
		}
		a.w.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (a *Acceptance) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.bare.Wire != nil || a.err != nil {
		return len(p), nil // what the library has to say about it
	}
	return a.w.Write(p)
}

// Hijack implements http.Hijacker for the library.
func (a *Acceptance) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if a.err != nil {
		return nil, nil, a.err
	}
	conn := idle{a.bare.Wire}
	return conn, bufio.NewReadWriter(bufio.NewReaderSize(conn, 16), bufio.NewWriterSize(conn, 16)), nil
}

// switchProtocols takes the connection and answers on it. A client whose connection
// cannot be taken is answered otherwise.
func (a *Acceptance) switchProtocols() {
	own := a.w.Header().Clone() // middleware may have set cookies
	wire, rw, err := http.NewResponseController(a.w).Hijack()
	if err != nil {
		a.err = fmt.Errorf("%T cannot be hijacked: %w", a.w, err)
		status := http.StatusInternalServerError
		if errors.Is(err, http.ErrNotSupported) {
			status = http.StatusNotImplemented
		}
		http.Error(a.w, "this server cannot switch to WebSocket here", status)
		return
	}
	a.bare = Bare{Stream: wire, Wire: wire}
	if n := rw.Reader.Buffered(); n > 0 {
		peeked, _ := rw.Reader.Peek(n)
		a.bare.Early = bytes.Clone(peeked)
	}
	if t, ok := wire.(*tls.Conn); ok {
		a.bare.Wire, a.bare.TLS = t.NetConn(), true
	}
	wire.SetWriteDeadline(time.Now().Add(transport.DefaultWriteTimeout)) // if it fails, so does the write
	if _, a.err = wire.Write(answer(own, a.header)); a.err == nil {
		a.err = wire.SetWriteDeadline(time.Time{})
	}
}

// answer returns an answer 101 with the headers of a handshake, and of what middleware
// set those that mean something in it.
func answer(own, handshake http.Header) []byte {
	h := make(http.Header, len(own)+len(handshake))
	for name, values := range own {
		switch name {
		case "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Trailer",
			"Connection", "Upgrade", "Keep-Alive":
		default:
			if !strings.HasPrefix(name, "Sec-Websocket-") {
				h[name] = values
			}
		}
	}
	for name, values := range handshake {
		h[name] = values
	}
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = h.Write(&b) // a Buffer does not fail
	b.WriteString("\r\n")
	return b.Bytes()
}
