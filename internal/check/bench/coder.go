package main

import (
	"net/http"

	"github.com/coder/websocket"
)

// coderEcho uses the library as nhooyrEcho uses its predecessor, for the same
// reasons.
var coderEcho = contender{
	name: "raw/coder", kind: raw,
	about: "github.com/coder/websocket, Reader into an own buffer, background contexts, no compression, one write per message",
	serve: func(size int) (server, error) {
		addr, stop, err := serveHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
			if err != nil {
				return
			}
			// The handler returns, which frees what net/http holds for it.
			go echo(newCoderFrames(c), size)
		}))
		if err != nil {
			return server{}, err
		}
		return server{addr: addr, close: stop, dial: func() (conn, error) {
			c, _, err := websocket.Dial(background, "ws://"+addr, &websocket.DialOptions{CompressionMode: websocket.CompressionDisabled})
			if err != nil {
				return nil, err
			}
			return newEchoConn(newCoderFrames(c), size), nil
		}}, nil
	},
}

type coderFrames struct {
	unbatched
	*websocket.Conn
}

func newCoderFrames(c *websocket.Conn) *coderFrames {
	c.SetReadLimit(-1)
	return &coderFrames{Conn: c}
}

func (f *coderFrames) read(buf []byte) ([]byte, error) {
	_, r, err := f.Reader(background)
	if err != nil {
		return nil, err
	}
	return readInto(r, buf)
}

func (f *coderFrames) write(msg []byte) error {
	return f.Write(background, websocket.MessageBinary, msg)
}

func (f *coderFrames) close() { f.CloseNow() }
