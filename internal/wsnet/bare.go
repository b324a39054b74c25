package wsnet

import (
	"io"
	"net"
)

// Bare is the network connection after a handshake.
type Bare struct {
	Stream io.ReadWriteCloser // carries the bytes, above TLS
	Wire   net.Conn           // has deadlines and an end, below TLS
	TLS    bool               // there is TLS between the two
	Early  []byte             // arrived with the handshake, ahead of Stream
}

// idle is the connection that a library gets, which it closes at once.
type idle struct{ net.Conn }

func (idle) Read([]byte) (int, error)    { return 0, io.EOF }
func (idle) Write(p []byte) (int, error) { return len(p), nil }
func (idle) Close() error                { return nil }
