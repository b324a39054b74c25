package gobwas

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/gobwas/ws"

	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/transport"
)

// accept answers a request, and takes the connection out of net/http if it is
// one for a WebSocket.
func accept(handshake *wsnet.Acceptance, r *http.Request) (wsnet.Bare, error) {
	// The library takes the connection first and answers afterwards. Whoever
	// did not ask for a WebSocket gets an answer of net/http instead.
	if r.ProtoMajor != 1 || !hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket") {
		handshake.Header().Set("Connection", "Upgrade")
		handshake.Header().Set("Upgrade", "websocket")
		http.Error(handshake, "this address is for WebSocket connections", http.StatusUpgradeRequired)
		return wsnet.Bare{}, errors.New("the request has no Connection: Upgrade and Upgrade: websocket of HTTP/1.1")
	}
	h := &hijacker{Acceptance: handshake}
	_, _, _, err := ws.HTTPUpgrader{
		Timeout:  transport.DefaultWriteTimeout,
		Header:   handshake.Header(),
		Protocol: func(token string) bool { return token == handshake.Protocol() },
	}.Upgrade(r, h)
	if err != nil && h.bare.Wire != nil {
		h.bare.Stream.Close() // an error of which would say nothing new
	}
	return h.bare, err
}

// hijacker gives the library a connection to write the answer to, and keeps
// what there is to know about it.
type hijacker struct {
	*wsnet.Acceptance
	bare wsnet.Bare
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	bare, err := h.Take()
	if err != nil {
		return nil, nil, err
	}
	h.bare = bare
	stream := bare.Stream.(net.Conn) // as net/http hands out
	return stream, &bufio.ReadWriter{Writer: bufio.NewWriterSize(stream, 256)}, nil
}

// dial makes the request of a handshake, checks the answer and returns the
// protocol that was agreed on.
func dial(ctx context.Context, handshake *wsnet.Handshake, offer []string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, handshake.URL, nil)
	if err != nil {
		return "", err
	}
	r.Header, r.Host = handshake.Header, handshake.Host
	key := newKey()
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", key)
	if len(offer) > 0 {
		r.Header.Set("Sec-WebSocket-Protocol", strings.Join(offer, ", "))
	}
	answer, err := handshake.Client.Do(r)
	if err != nil {
		return "", err
	}
	return checkAnswer(answer.Header, key, offer)
}

// checkAnswer checks an answer 101 and returns the protocol that was agreed on.
func checkAnswer(h http.Header, key string, offer []string) (string, error) {
	protocol := h.Get("Sec-WebSocket-Protocol")
	switch {
	case !hasToken(h, "Connection", "upgrade") || !hasToken(h, "Upgrade", "websocket"):
		return "", errors.New("the answer switches to something else than WebSocket")
	case h.Get("Sec-WebSocket-Accept") != acceptance(key):
		return "", fmt.Errorf("the answer proves nothing: Sec-WebSocket-Accept is %.100q", h.Get("Sec-WebSocket-Accept"))
	case h.Get("Sec-WebSocket-Extensions") != "":
		return "", errors.New("the answer has extensions, which were not asked for")
	case protocol != "" && !slices.Contains(offer, protocol):
		return "", fmt.Errorf("the answer chooses the protocol %.100q, which was not offered", protocol)
	}
	return protocol, nil
}

// newKey returns a key for one handshake.
func newKey() string {
	key := make([]byte, 16)
	rand.Read(key) // never fails
	return base64.StdEncoding.EncodeToString(key)
}

// acceptance returns what a server that knows WebSocket answers to a key.
func acceptance(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// hasToken reports whether a header that is a list has the token.
func hasToken(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}
