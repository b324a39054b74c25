package framed

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/webwire-go/webwire/transport"
)

// counter counts the calls of Write.
type counter struct {
	bytes.Buffer
	calls int
}

func (c *counter) Write(p []byte) (int, error) {
	c.calls++
	return c.Buffer.Write(p)
}

// writing returns a connection that writes to w as if it was a socket.
func writing(w io.Writer) *Conn {
	c := new(Conn)
	c.Init("test", Wire{Writer: w, Net: noDeadlines{}}, nil, transport.Limits{})
	c.socket = true
	return c
}

// batch returns a Batch that is sent to w.
func batch(w io.Writer, scatter bool) *Batch {
	b := writing(w).Batch()
	b.scatter = scatter
	return b
}

// add adds frames with headers of two bytes.
func add(b *Batch, msgs [][]byte) {
	for _, msg := range msgs {
		b.Buf = append(b.Room(2), 'm', byte(len(msg)))
		b.Add(msg)
	}
}

// The frames are the same whichever way they are collected, and few writes
// suffice for many small ones.
func TestBatch(t *testing.T) {
	many := make([][]byte, 10_000)
	for i := range many {
		many[i] = bytes.Repeat([]byte{byte(i)}, i%50)
	}
	large := make([]byte, largeMessage)
	larges := make([][]byte, 1100)
	for i := range larges {
		larges[i] = large
	}
	for name, c := range map[string]struct {
		msgs [][]byte
		most int // writes where memory is copied
	}{
		"none":        {nil, 0},
		"empty":       {[][]byte{nil}, 1},
		"small":       {many[:1000], 1},
		"many":        {many, 3},
		"large":       {[][]byte{large, {1}, large, large, {2}, nil}, 1},
		"many larges": {append(append(larges, many...), large), 145},
		"huge":        {[][]byte{{1}, make([]byte, 10*batchSize), {2}}, 11},
	} {
		var want []byte
		for _, msg := range c.msgs {
			want = append(append(want, 'm', byte(len(msg))), msg...)
		}
		for _, scatter := range []bool{false, true} {
			var wire counter
			b := batch(&wire, scatter)
			add(b, c.msgs)
			if err := b.Send(); err != nil {
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

// What was copied may be changed before it is sent.
func TestBatchCopy(t *testing.T) {
	var wire bytes.Buffer
	b := batch(&wire, false)
	msg := bytes.Repeat([]byte{1}, 3*batchSize)
	for rest := msg; len(rest) > 0; {
		part := b.Copy(rest)
		for i := range part {
			part[i]++
		}
		rest = rest[len(part):]
	}
	if err := b.Send(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(wire.Bytes(), bytes.Repeat([]byte{2}, len(msg))) || msg[0] != 1 {
		t.Error("the copies were not changed, or what they are copies of was")
	}
}

// failing fails the second write and all that follow.
type failing struct{ counter }

func (f *failing) Write(p []byte) (int, error) {
	f.counter.Write(p)
	if f.calls > 1 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

// Nothing is written after an error, and the next batch knows nothing of it.
func TestBatchError(t *testing.T) {
	var wire failing
	b := batch(&wire, false)
	add(b, [][]byte{make([]byte, 10*batchSize), {1}})
	if err := b.Send(); !errors.Is(err, io.ErrClosedPipe) || wire.calls != 2 {
		t.Errorf("Send: %v, after %d writes", err, wire.calls)
	}
	b = batch(io.Discard, false)
	add(b, [][]byte{{1}})
	if err := b.Send(); err != nil {
		t.Errorf("Send of the next batch: %v", err)
	}
}

// Writing allocates nothing once the buffers are there.
func TestBatchAllocatesNothing(t *testing.T) {
	msgs := [][]byte{make([]byte, 10), nil, make([]byte, 100_000)}
	c := writing(io.Discard)
	var b *Batch
	if n := testing.AllocsPerRun(100, func() {
		if b == nil {
			b = c.Batch() // kept, because the race detector makes pools forget
		}
		add(b, msgs)
		b.flush()
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// accepting is a socket that accepts some bytes, and then fails.
type accepting struct{ left int }

func (a *accepting) Write(p []byte) (int, error) {
	n := min(len(p), a.left)
	a.left -= n
	if n < len(p) {
		return n, io.ErrClosedPipe
	}
	return n, nil
}

// The error of a Batch tells how many messages were written whole.
func TestBatchPartial(t *testing.T) {
	const header = 2
	msgs := [][]byte{{1}, nil, make([]byte, 3*batchSize), make([]byte, largeMessage), {2}}
	for _, scatter := range []bool{false, true} {
		end := 0
		for i, msg := range msgs {
			end += header + len(msg)
			for accepted, want := range map[int]int{end - 1: i, end: i + 1} {
				if want == len(msgs) {
					continue // it does not fail
				}
				b := batch(&accepting{accepted}, scatter)
				add(b, msgs)
				var partial *transport.PartialError
				if err := b.Send(); !errors.As(err, &partial) || partial.Sent != want {
					t.Errorf("scatter %t, %d bytes accepted: %#v, want Sent %d", scatter, accepted, err, want)
				}
			}
		}
	}
}
