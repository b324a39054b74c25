package stream

import (
	"bytes"
	"io"
	"net"
	"testing"
)

// discardConn is a net.Conn that can only be written to.
type discardConn struct {
	net.Conn
	w io.Writer
}

func (c discardConn) Write(p []byte) (int, error) { return c.w.Write(p) }

// counter counts the calls of Write.
type counter struct {
	bytes.Buffer
	calls int
}

func (c *counter) Write(p []byte) (int, error) {
	c.calls++
	return c.Buffer.Write(p)
}

// The frames are the same whichever way they are collected, and few writes
// suffice for many small ones.
func TestBatch(t *testing.T) {
	many := make([][]byte, 10_000)
	for i := range many {
		many[i] = bytes.Repeat([]byte{byte(i)}, i%50)
	}
	large := make([]byte, largeMessage)
	for name, c := range map[string]struct {
		msgs [][]byte
		most int // writes where memory is copied
	}{
		"none":        {nil, 0},
		"empty":       {[][]byte{nil}, 1},
		"small":       {many[:1000], 1},
		"many":        {many, 5},
		"large":       {[][]byte{large, {1}, large, large, {2}, nil}, 1},
		"many larges": {append(append(bytesTimes(large, 3000), many...), large), 1000},
		"huge":        {[][]byte{{1}, make([]byte, 10*batchSize), {2}}, 11},
	} {
		var want []byte
		for _, msg := range c.msgs {
			want = append(appendHeader(want, len(msg)), msg...)
		}
		for _, scatter := range []bool{false, true} {
			var wire counter
			if err := writeMessages(discardConn{w: &wire}, scatter, c.msgs); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(wire.Bytes(), want) {
				t.Errorf("%s (scatter %t): wrong frames", name, scatter)
			}
			if !scatter && wire.calls > c.most {
				t.Errorf("%s: %d writes, want at most %d", name, wire.calls, c.most)
			}
		}
	}
}

func bytesTimes(msg []byte, n int) [][]byte {
	msgs := make([][]byte, n)
	for i := range msgs {
		msgs[i] = msg
	}
	return msgs
}
