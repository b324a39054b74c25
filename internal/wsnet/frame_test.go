package wsnet

import (
	"encoding/binary"
	"testing"
)

// appendFrame appends a frame of n zero bytes.
func appendFrame(dst []byte, first byte, n int, masked bool) []byte {
	var mask byte
	if masked {
		mask = 0x80
	}
	dst = append(dst, first)
	switch {
	case n < 126:
		dst = append(dst, mask|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, mask|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, mask|127), uint64(n))
	}
	if masked {
		dst = append(dst, 1, 2, 3, 4)
	}
	return append(dst, make([]byte, n)...)
}

// Frames are found whatever the pieces they arrive in.
func TestFrameInPieces(t *testing.T) {
	sizes := []int{0, 1, 125, 126, 127, 1000, 65535, 65536, 0}
	for _, masked := range []bool{false, true} {
		var stream []byte
		for i, size := range sizes {
			stream = appendFrame(stream, 0x80|byte(i), size, masked)
		}
		for _, piece := range []int{1, 2, 3, 7, 500, len(stream)} {
			var f frame
			next := 0
			for at := 0; at < len(stream); at += piece {
				for p := stream[at:min(at+piece, len(stream))]; len(p) > 0; {
					n, ended := f.advance(p)
					if n == 0 {
						t.Fatal("advance took nothing")
					}
					p = p[n:]
					if !ended {
						continue
					}
					if f.opcode() != byte(next) || f.length() != uint64(sizes[next]) {
						t.Fatalf("frame %d: opcode %d, length %d", next, f.opcode(), f.length())
					}
					if next++; f.started() {
						t.Fatal("a frame has started after the last one ended")
					}
				}
			}
			if next != len(sizes) {
				t.Errorf("masked %v, pieces of %d: %d frames, want %d", masked, piece, next, len(sizes))
			}
		}
	}
}

func TestMessages(t *testing.T) {
	huge := binary.BigEndian.AppendUint64([]byte{0x82, 127}, 1<<62)
	for _, c := range []struct {
		name               string
		stream             []byte
		tooBig, unfinished bool
	}{
		{name: "at the limit", stream: appendFrame(nil, 0x82, 100, false)},
		{name: "over it", stream: appendFrame(nil, 0x82, 101, true), tooBig: true},
		{name: "announced", stream: appendFrame(nil, 0x82, 101, false)[:2], tooBig: true, unfinished: true},
		{name: "announced hugely", stream: huge, tooBig: true, unfinished: true},
		{name: "two messages", stream: appendFrame(appendFrame(nil, 0x82, 60, false), 0x81, 60, false)},
		{name: "first fragment", stream: appendFrame(nil, 0x02, 60, false), unfinished: true},
		{name: "fragments", stream: appendFrame(appendFrame(nil, 0x02, 60, false), 0x80, 40, false)},
		{name: "fragments over it", stream: appendFrame(appendFrame(nil, 0x02, 60, false), 0x80, 41, false), tooBig: true},
		{name: "fragments that overflow", stream: append(appendFrame(nil, 0x02, 60, false),
			0x80, 127, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF), tooBig: true, unfinished: true},
		{name: "ping between fragments", stream: appendFrame(appendFrame(appendFrame(nil, 0x02, 60, false), 0x89, 50, false), 0x80, 40, false)},
		{name: "half a header", stream: []byte{0x82}, unfinished: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, piece := range []int{1, len(c.stream)} {
				var m messages
				for at := 0; at < len(c.stream); at += piece {
					m.scan(c.stream[at:at+piece], 100)
				}
				if m.tooBig != c.tooBig || m.unfinished() != c.unfinished {
					t.Errorf("pieces of %d: too big %v, unfinished %v", piece, m.tooBig, m.unfinished())
				}
			}
		})
	}
}
