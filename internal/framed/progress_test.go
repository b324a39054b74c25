package framed

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// reads reads frames with a header of one byte, which is the length of the payload,
// until that fails. All of them are fragments of one message.
func reads(c *Conn) (got int, err error) {
	r := &c.In
	for {
		r.Next()
		for len(r.Peek()) < 1 {
			if err := r.Fill(); err != nil {
				return got, err
			}
		}
		r.Begin(1, int(r.Peek()[0]))
		r.Open = true
		body, err := r.Append(nil)
		if err != nil {
			return got, err
		}
		got += len(body)
	}
}

// The progress of a message is the payload of its fragments, not their number.
func TestProgressOfFragments(t *testing.T) {
	const limit = 10 * time.Second
	least := leastProgress(limit)
	for name, c := range map[string]struct {
		payload int           // of each fragment
		pause   time.Duration // after each
		ends    bool
	}{
		"empty":             {0, time.Second, true},
		"a byte per second": {1, time.Second, true},
		"below the rate":    {200, time.Second / 4, true},
		"at the rate":       {250, time.Second / 5, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			conn := new(Conn)
			conn.Init("test", Wire{Reader: near, Writer: near, Net: near}, nil, transport.Limits{ReadTimeout: limit})
			time.AfterFunc(10*limit, func() { far.Close() })
			start := time.Now()
			go func() {
				frame := make([]byte, 1+c.payload)
				frame[0] = byte(c.payload)
				for {
					if _, err := far.Write(frame); err != nil {
						return
					}
					time.Sleep(c.pause)
				}
			}()
			got, err := reads(conn)
			took := time.Since(start)
			near.Close()
			if cut := errors.Is(err, os.ErrDeadlineExceeded); cut != c.ends || cut && took > limit*9/8+time.Millisecond {
				t.Errorf("%s: %v after %v and %d bytes; %d have to arrive within %v", name, err, took, got, least, limit)
			}
			time.Sleep(10 * limit) // for the timer
		})
	}
}

// nameless is a net.Conn without addresses.
type nameless struct{ net.Conn }

func (nameless) RemoteAddr() net.Addr { return nil }

func TestUnknownAddress(t *testing.T) {
	c := new(Conn)
	c.Init("test", Wire{Net: nameless{}}, nil, transport.Limits{})
	if addr := c.RemoteAddr(); addr == nil || addr.String() != "unknown" || addr.Network() != "unknown" {
		t.Errorf("RemoteAddr %v", addr)
	}
}

// Pings that wait for a write are one, and it is sent when the write is done.
func TestPingsThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		c := new(Conn)
		c.Init("test", Wire{Reader: near, Writer: near, Net: near}, controlFrames{}, transport.Limits{})
		if err := c.BeginWrite(); err != nil {
			t.Fatal(err)
		}
		first := make(chan error, 1)
		go func() { first <- c.Ping() }()
		synctest.Wait()
		for range 100 {
			if err := c.Ping(); err != nil {
				t.Errorf("Ping beside one that waits: %v", err)
			}
		}
		if err := c.EndWrite(nil); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		if n, err := far.Read(buf); err != nil || n != 1 || buf[0] != byte(OpPing) {
			t.Errorf("got %v, %v, want one ping", buf[:n], err)
		}
		if err := <-first; err != nil {
			t.Errorf("Ping: %v", err)
		}
	})
}

// controlFrames has frames that consist of their operation.
type controlFrames struct{}

func (controlFrames) NextFrame() (Op, []byte, error) { return OpMessage, nil, net.ErrClosed }

func (controlFrames) AppendControl(dst []byte, op Op, _ []byte) []byte { return append(dst, byte(op)) }
