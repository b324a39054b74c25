package main

import (
	"bufio"
	"io"
	"net"

	"github.com/gobwas/ws"
)

// gobwasEcho frames by hand, as the library is made for: it upgrades the bare
// connection without net/http, and frames that are ready leave in one system call.
var gobwasEcho = contender{
	name: "raw/gobwas", kind: raw,
	about: "github.com/gobwas/ws, zero-copy upgrade, headers by hand, bufio on both sides, flushed when nothing more has arrived",
	serve: func(size int) (server, error) {
		addr, stop, err := serveConns(func(c net.Conn) {
			if _, err := ws.Upgrade(c); err != nil {
				c.Close()
				return
			}
			echo(newGobwasFrames(c, c, false), size)
		})
		if err != nil {
			return server{}, err
		}
		return server{addr: addr, close: stop, dial: func() (conn, error) {
			c, early, _, err := ws.Dial(background, "ws://"+addr)
			if err != nil {
				return nil, err
			}
			var r io.Reader = c
			if early != nil {
				r = early
			}
			return newEchoConn(newGobwasFrames(c, r, true), size), nil
		}}, nil
	},
}

type gobwasFrames struct {
	net.Conn
	r      *bufio.Reader
	w      *bufio.Writer
	client bool
	masked []byte
}

func newGobwasFrames(c net.Conn, r io.Reader, client bool) *gobwasFrames {
	return &gobwasFrames{Conn: c, r: bufio.NewReaderSize(r, bufferSize), w: bufio.NewWriterSize(c, bufferSize), client: client}
}

func (f *gobwasFrames) read(buf []byte) ([]byte, error) {
	h, err := ws.ReadHeader(f.r)
	if err != nil {
		return nil, err
	}
	buf = buf[:h.Length]
	if _, err := io.ReadFull(f.r, buf); err != nil {
		return nil, err
	}
	if h.Masked {
		ws.Cipher(buf, h.Mask, 0)
	}
	return buf, nil
}

func (f *gobwasFrames) more() bool { return f.r.Buffered() > 0 }

func (f *gobwasFrames) write(msg []byte) error {
	h := ws.Header{Fin: true, OpCode: ws.OpBinary, Length: int64(len(msg))}
	if f.client {
		h.Masked, h.Mask = true, ws.NewMask()
		f.masked = append(f.masked[:0], msg...)
		ws.Cipher(f.masked, h.Mask, 0)
		msg = f.masked
	}
	if err := ws.WriteHeader(f.w, h); err != nil {
		return err
	}
	_, err := f.w.Write(msg)
	return err
}

func (f *gobwasFrames) flush() error { return f.w.Flush() }
func (f *gobwasFrames) close()       { f.Close() }
