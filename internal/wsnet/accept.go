package wsnet

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
)

// The sizes of the buffers that a library gets for one connection. Large
// messages pass by the first, and a whole batch is collected behind the second, so
// that small ones cost nothing but memory for every idle connection if they grow.
const (
	readBuffer  = 1 << 10
	writeBuffer = 512
)

// Acceptance is the server's side of one handshake: the http.ResponseWriter to
// give to the library. The library must hijack it.
type Acceptance struct {
	http.ResponseWriter
	protocol string
	conn     *Conn
}

// Accept prepares a handshake: it checks the origin and chooses the first of the
// supported protocols that the client offers. If it returns an error it has
// answered the request.
func Accept(w http.ResponseWriter, r *http.Request, origins, supported []string) (*Acceptance, error) {
	if err := CheckOrigin(r, origins); err != nil {
		http.Error(w, "this origin is not allowed to connect", http.StatusForbidden)
		return nil, fmt.Errorf("websocket: upgrade: %w", err)
	}
	// The library sends the answer before it hijacks, so a writer that can not
	// be hijacked has to be found out now. HTTP/2 is the library's to refuse.
	if r.ProtoMajor == 1 && !hijackable(w) {
		http.Error(w, "this server can not switch to WebSocket here", http.StatusNotImplemented)
		return nil, fmt.Errorf("websocket: upgrade: %T can not be hijacked: %w", w, http.ErrNotSupported)
	}
	return &Acceptance{ResponseWriter: w, protocol: choose(r.Header, supported)}, nil
}

// Protocol returns the protocol that was chosen, the empty string if none was.
func (a *Acceptance) Protocol() string { return a.protocol }

// Protocols returns the protocol as the list that libraries ask for.
func (a *Acceptance) Protocols() []string {
	if a.protocol == "" {
		return nil
	}
	return []string{a.protocol}
}

// Conn returns the connection that the library got, nil if it did not hijack.
func (a *Acceptance) Conn() *Conn { return a.conn }

// Fail releases what a failed handshake holds, and returns its error. It is for
// libraries that answered the request.
func (a *Acceptance) Fail(err error) error {
	if a.conn != nil {
		a.conn.Abort()
		a.conn.Close()
	}
	return fmt.Errorf("websocket: upgrade: %w", err)
}

// Unwrap is for http.ResponseController.
func (a *Acceptance) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Hijack takes the connection and puts it under guard.
func (a *Acceptance) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	bare, err := a.Take()
	if err != nil {
		return nil, nil, err
	}
	a.conn = newConn(Server, bare.Stream, bare.Wire, bare.Early)
	a.conn.tls = bare.TLS
	return a.conn, bufio.NewReadWriter(
		bufio.NewReaderSize(a.conn, readBuffer),
		bufio.NewWriterSize(a.conn, writeBuffer),
	), nil
}

// hijackable reports whether http.ResponseController can hijack w.
func hijackable(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case http.Hijacker:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// choose returns the first of supported that is offered.
func choose(h http.Header, supported []string) string {
	var offered []string
	for _, line := range h.Values("Sec-WebSocket-Protocol") {
		for token := range strings.SplitSeq(line, ",") {
			offered = append(offered, strings.TrimSpace(token))
		}
	}
	for _, token := range supported {
		if slices.Contains(offered, token) {
			return token
		}
	}
	return ""
}
