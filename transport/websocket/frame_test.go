package websocket

import (
	"bytes"
	"testing"
)

// What appendHeader writes parseHeader reads, from no fewer bytes.
func TestHeaders(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 65_535, 65_536, 1 << 40} {
		for _, op := range []opcode{opBinary, opText, opPing} {
			for _, client := range []bool{false, true} {
				b, mask := appendHeader(nil, op, n, client)
				want := header{fin: true, op: op, masked: client, mask: mask, length: int64(n)}
				if h, size, err := parseHeader(append(b, 0)); err != nil || size != len(b) || h != want {
					t.Errorf("% x is %+v of %d bytes (%v), want %+v", b, h, size, err, want)
				}
				for cut := range b {
					if _, size, err := parseHeader(b[:cut]); size != 0 || err != nil {
						t.Errorf("%d bytes of % x: size %d, %v", cut, b, size, err)
					}
				}
			}
		}
	}
}

// parseHeader takes any bytes, and what it understands has the shortest length.
func FuzzParseHeader(f *testing.F) {
	for _, n := range []int{0, 125, 126, 65_535, 65_536, 1 << 40} {
		b, _ := appendHeader(nil, opBinary, n, n%2 == 0)
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	f.Add([]byte{0x82, 126, 0, 1})
	f.Add([]byte{0x82, 127, 0xFF, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, size, err := parseHeader(b)
		if err != nil || size == 0 {
			return
		}
		again, _ := appendHeader(nil, h.op, int(h.length), h.masked)
		if size > len(b) || size != len(again) || again[1] != b[1] || !bytes.Equal(again[2:size-len(h.mask[:])*bit(h.masked)], b[2:size-4*bit(h.masked)]) {
			t.Errorf("% x: %+v, %d bytes", b, h, size)
		}
	})
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// cipher does what section 5.3 of RFC 6455 says, at any offset, and undoes itself.
func FuzzCipher(f *testing.F) {
	f.Add([]byte("hello"), uint32(1), uint8(0))
	f.Add(bytes.Repeat([]byte("x"), 1000), uint32(0x01020304), uint8(3))
	f.Fuzz(func(t *testing.T, p []byte, key uint32, offset uint8) {
		mask := [4]byte{byte(key), byte(key >> 8), byte(key >> 16), byte(key >> 24)}
		got := bytes.Clone(p)
		cipher(got, mask, int(offset))
		for i := range p {
			if want := p[i] ^ mask[(i+int(offset))%4]; got[i] != want {
				t.Fatalf("byte %d of %d: %x, want %x", i, len(p), got[i], want)
			}
		}
		cipher(got, mask, int(offset))
		if !bytes.Equal(got, p) {
			t.Error("twice is not the same")
		}
	})
}
