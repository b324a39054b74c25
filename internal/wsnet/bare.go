package wsnet

import (
	"io"
	"net"
)

// Bare is the network connection after a handshake.
type Bare struct {
	Stream io.ReadWriteCloser // the byte stream above TLS
	Wire   net.Conn           // the connection below TLS, for deadlines and closing
	TLS    bool               // there is TLS between Stream and Wire
	Early  []byte             // bytes that arrived with the handshake, before those of Stream
}

// idle is the connection passed to the library, which closes it immediately.
type idle struct{ net.Conn }

func (idle) Read([]byte) (int, error)    { return 0, io.EOF }
func (idle) Write(p []byte) (int, error) { return len(p), nil }
func (idle) Close() error                { return nil }
