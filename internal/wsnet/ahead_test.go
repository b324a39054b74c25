package wsnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/webwire-go/webwire/transport"
)

// source is a stream that has everything at once, and counts the reads.
type source struct {
	io.Reader
	reads int
}

func (s *source) Read(p []byte) (int, error)  { s.reads++; return s.Reader.Read(p) }
func (s *source) Write(p []byte) (int, error) { return len(p), nil }
func (s *source) Close() error                { return nil }

// reading returns a Conn that reads stream, and the source that counts.
func reading(t *testing.T, stream []byte) (*Conn, *source) {
	t.Helper()
	wire, far := net.Pipe()
	t.Cleanup(func() { wire.Close(); far.Close() })
	s := &source{Reader: bytes.NewReader(stream)}
	c := newConn(Server, s, wire, nil)
	c.SetLimits(transport.Limits{MaxMessageSize: 10_000})
	return c, s
}

// drain reads pieces as a library does whose buffer has a kilobyte.
func drain(c *Conn) (got []byte, err error) {
	buf := make([]byte, 1<<10)
	for {
		c.BeginRead() // as the adapter does for each message
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			return got, err
		}
	}
}

// Few long messages are read many bytes at a time, short ones as the library likes;
// what it gets is the same.
func TestReadAhead(t *testing.T) {
	for _, c := range []struct{ size, most int }{{2000, 40}, {500, 40}, {10, 1 << 20}} {
		var stream []byte
		for len(stream) < 200_000 {
			stream = appendFrame(stream, 0x82, c.size, true)
		}
		conn, s := reading(t, stream)
		got, err := drain(conn)
		if err != io.EOF || !bytes.Equal(got, stream) {
			t.Errorf("messages of %d: read %d of %d bytes: %v", c.size, len(got), len(stream), err)
		}
		if s.reads > c.most {
			t.Errorf("messages of %d: %d reads", c.size, s.reads)
		}
		if short := c.size < shortMessage; short && s.reads < len(stream)/(2<<10) {
			t.Errorf("messages of %d: %d reads only", c.size, s.reads)
		}
		if conn.ahead != nil || conn.aheadOf != nil {
			t.Errorf("messages of %d: a buffer is left", c.size)
		}
	}
}

// Who waits for a message, and not for the rest of one, waits without a buffer.
func TestReadAheadLeavesNoBuffer(t *testing.T) {
	stream := appendFrame(nil, 0x82, 1<<10-8, true) // as much as a library reads at once
	conn, s := reading(t, stream)
	if _, err := conn.Read(make([]byte, 1<<10)); err != nil || conn.full {
		t.Errorf("more is to be read ahead: %v", err)
	}
	s.Reader = bytes.NewReader(appendFrame(nil, 0x82, 5000, true))
	conn.Read(make([]byte, 1<<10))
	if !conn.full {
		t.Error("the rest is not to be read ahead")
	}
	if _, err := drain(conn); err != io.EOF || conn.full || conn.aheadOf != nil {
		t.Errorf("a buffer is left: %v", err)
	}
}

// A message that is too long is told when the library has those ahead of it.
func TestReadAheadTooBig(t *testing.T) {
	var good []byte
	for range 20 {
		good = appendFrame(good, 0x82, 1500, true)
	}
	bad := appendFrame(nil, 0x82, 10_001, false)
	conn, _ := reading(t, append(good[:len(good):len(good)], bad...))
	got, err := drain(conn)
	if !errors.Is(err, ErrTooBig) || !bytes.HasPrefix(got, good) {
		t.Errorf("read %d bytes, %d of them good: %v", len(got), len(good), err)
	}
	if n := conn.Messages(); n != 20 {
		t.Errorf("%d messages are known", n)
	}
}
