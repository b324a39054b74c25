package wsnet

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
)

// Bare is an upgraded network connection that nothing guards, for an adapter that
// speaks the protocol itself and keeps the limits while it does.
type Bare struct {
	Stream io.ReadWriteCloser // carries the bytes, above TLS
	Wire   net.Conn           // has deadlines and an end, below TLS
	TLS    bool               // there is TLS between the two
	Early  []byte             // arrived with the handshake, ahead of Stream
}

// Take takes the connection out of net/http, through any middleware that can be
// unwrapped. The buffers of net/http are left to the garbage collector; bytes of
// the client in them are kept.
func (a *Acceptance) Take() (Bare, error) {
	wire, rw, err := http.NewResponseController(a.ResponseWriter).Hijack()
	if err != nil {
		return Bare{}, err
	}
	b := Bare{Stream: wire, Wire: wire}
	if n := rw.Reader.Buffered(); n > 0 {
		peeked, _ := rw.Reader.Peek(n)
		b.Early = bytes.Clone(peeked)
	}
	if t, ok := wire.(*tls.Conn); ok {
		b.Wire, b.TLS = t.NetConn(), true
	}
	return b, nil
}

// Take returns the connection of a successful handshake without its guard, which
// is of no use from then on.
func (h *Handshake) Take() Bare {
	c := h.Conn()
	return Bare{Stream: c.stream, Wire: c.wire, TLS: c.tls, Early: c.early}
}
