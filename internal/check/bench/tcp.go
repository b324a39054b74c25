package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
)

// tcpEcho is the limit: messages behind a length of four bytes, as many in one
// system call as are ready. Large ones are not copied, but written by writev.
var tcpEcho = contender{
	name: "raw/tcp", kind: raw,
	about: "plain TCP, 4 byte length, bufio on both sides, flushed when nothing more has arrived; writev from 16 KiB on",
	serve: func(size int) (server, error) {
		addr, stop, err := serveConns(func(c net.Conn) { echo(newTCPFrames(c), size) })
		if err != nil {
			return server{}, err
		}
		return server{close: stop, dial: func() (conn, error) {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				return nil, err
			}
			return newEchoConn(newTCPFrames(c), size), nil
		}}, nil
	},
}

const (
	bufferSize  = 64 << 10
	largeEnough = 16 << 10 // from here on not copying is cheaper
)

type tcpFrames struct {
	net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
	head [4]byte
	two  [2][]byte
	both net.Buffers // is two; a variable of its own would be allocated
}

func newTCPFrames(c net.Conn) *tcpFrames {
	return &tcpFrames{Conn: c, r: bufio.NewReaderSize(c, bufferSize), w: bufio.NewWriterSize(c, bufferSize)}
}

func (f *tcpFrames) read(buf []byte) ([]byte, error) {
	head, err := f.r.Peek(len(f.head))
	if err != nil {
		return nil, err
	}
	buf = buf[:binary.BigEndian.Uint32(head)]
	if _, err := f.r.Discard(len(f.head)); err != nil {
		return nil, err
	}
	_, err = io.ReadFull(f.r, buf)
	return buf, err
}

func (f *tcpFrames) more() bool { return f.r.Buffered() > 0 }

func (f *tcpFrames) write(msg []byte) error {
	binary.BigEndian.PutUint32(f.head[:], uint32(len(msg)))
	if len(msg) >= largeEnough {
		if err := f.w.Flush(); err != nil {
			return err
		}
		f.two = [2][]byte{f.head[:], msg}
		f.both = f.two[:]
		_, err := f.both.WriteTo(f.Conn)
		return err
	}
	if _, err := f.w.Write(f.head[:]); err != nil {
		return err
	}
	_, err := f.w.Write(msg)
	return err
}

func (f *tcpFrames) flush() error { return f.w.Flush() }
func (f *tcpFrames) close()       { f.Close() }
