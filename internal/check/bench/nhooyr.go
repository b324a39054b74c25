//lint:file-ignore SA1019 it makes the handshakes of webwire/websocket

package main

import (
	"net/http"

	"nhooyr.io/websocket"
)

// nhooyrEcho uses the library as well as it can be used: a Reader into a buffer of
// its own, which spares the allocations of Read, contexts that never end, no
// compression. There is no way to write several messages at once.
var nhooyrEcho = contender{
	name: "raw/nhooyr", kind: raw,
	about: "nhooyr.io/websocket, Reader into an own buffer, background contexts, no compression, one write per message",
	serve: func(size int) (server, error) {
		addr, stop, err := serveHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
			if err != nil {
				return
			}
			// The handler returns, which frees what net/http holds for it.
			go echo(newNhooyrFrames(c), size)
		}))
		if err != nil {
			return server{}, err
		}
		return server{addr: addr, close: stop, dial: func() (conn, error) {
			c, _, err := websocket.Dial(background, "ws://"+addr, &websocket.DialOptions{CompressionMode: websocket.CompressionDisabled})
			if err != nil {
				return nil, err
			}
			return newEchoConn(newNhooyrFrames(c), size), nil
		}}, nil
	},
}

type nhooyrFrames struct {
	unbatched
	*websocket.Conn
}

func newNhooyrFrames(c *websocket.Conn) *nhooyrFrames {
	c.SetReadLimit(-1)
	return &nhooyrFrames{Conn: c}
}

func (f *nhooyrFrames) read(buf []byte) ([]byte, error) {
	_, r, err := f.Reader(background)
	if err != nil {
		return nil, err
	}
	return readInto(r, buf)
}

func (f *nhooyrFrames) write(msg []byte) error {
	return f.Write(background, websocket.MessageBinary, msg)
}

func (f *nhooyrFrames) close() { f.CloseNow() }
