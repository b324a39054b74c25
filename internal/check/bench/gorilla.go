package main

import (
	"net/http"

	"github.com/gorilla/websocket"
)

// gorillaEcho reads with NextReader into a buffer of its own, and has buffers into
// which a whole message fits, so that each is one system call.
var gorillaEcho = contender{
	name: "raw/gorilla", kind: raw,
	about: "github.com/gorilla/websocket, NextReader into an own buffer, buffers of a message's size, one write per message",
	serve: func(size int) (server, error) {
		const header = 16
		up := websocket.Upgrader{ReadBufferSize: max(size+header, 4096), WriteBufferSize: max(size+header, 4096)}
		addr, stop, err := serveHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := up.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			go echo(&gorillaFrames{Conn: c}, size)
		}))
		if err != nil {
			return server{}, err
		}
		dialer := websocket.Dialer{ReadBufferSize: up.ReadBufferSize, WriteBufferSize: up.WriteBufferSize}
		return server{addr: addr, close: stop, dial: func() (conn, error) {
			c, _, err := dialer.Dial("ws://"+addr, nil)
			if err != nil {
				return nil, err
			}
			return newEchoConn(&gorillaFrames{Conn: c}, size), nil
		}}, nil
	},
}

type gorillaFrames struct {
	unbatched
	*websocket.Conn
}

func (f *gorillaFrames) read(buf []byte) ([]byte, error) {
	_, r, err := f.NextReader()
	if err != nil {
		return nil, err
	}
	return readInto(r, buf)
}

func (f *gorillaFrames) write(msg []byte) error { return f.WriteMessage(websocket.BinaryMessage, msg) }

func (f *gorillaFrames) close() { f.Close() }
