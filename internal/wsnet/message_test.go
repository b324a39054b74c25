package wsnet

import (
	"bytes"
	"testing"
)

// What appendData makes of a fragment is understood by the one who follows frames.
func TestAppendData(t *testing.T) {
	for _, role := range []Role{Server, Client} {
		for size := range 40 {
			checkData(t, role, size)
		}
		for _, size := range []int{125, 126, 127, 65_535, 65_536, 100_000} {
			checkData(t, role, size)
		}
	}
}

func checkData(t *testing.T, role Role, size int) {
	t.Helper()
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(i)
	}
	b := appendData([]byte("before"), p, true, true, role)[len("before"):]
	var f frame
	n, ended := f.advance(b)
	if !ended || n != len(b) || b[0] != finBit|opBinary {
		t.Fatalf("%d bytes: %d of %d bytes are a frame %#x", size, n, len(b), b[0])
	}
	payload := b[len(b)-size:]
	if masked := b[1]&maskBit != 0; masked != (role == Client) {
		t.Fatalf("%d bytes: masked %v", size, masked)
	} else if masked {
		key := b[len(b)-size-4:][:4]
		for i := range payload {
			payload[i] ^= key[i%4]
		}
	}
	if !bytes.Equal(payload, p) {
		t.Fatalf("%d bytes: the payload is another", size)
	}
}

func TestAppendDataFragments(t *testing.T) {
	for _, c := range []struct {
		first, last bool
		want        byte
	}{{true, true, 0x82}, {true, false, 0x02}, {false, false, 0x00}, {false, true, 0x80}} {
		if got := appendData(nil, nil, c.first, c.last, Server); !bytes.Equal(got, []byte{c.want, 0}) {
			t.Errorf("first %v, last %v: % x", c.first, c.last, got)
		}
	}
}
