package wsnet

import (
	"bytes"
	"encoding/binary"
	"slices"
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
					m.scan(c.stream[at:at+piece], 100, Server)
				}
				if m.tooBig != c.tooBig || m.unfinished() != c.unfinished {
					t.Errorf("pieces of %d: too big %v, unfinished %v", piece, m.tooBig, m.unfinished())
				}
			}
		})
	}
}

// Messages are counted up to the first frame that no library accepts, and texts apart.
func TestMessagesAreCounted(t *testing.T) {
	for _, role := range []Role{Server, Client} {
		masked := role == Server
		frame := func(first byte, n int) []byte { return appendFrame(nil, first, n, masked) }
		whole := frame(0x82, 10)
		huge := binary.BigEndian.AppendUint64([]byte{0x82, whole[1]&maskBit | 127}, 1<<62)
		for _, c := range []struct {
			name   string
			frames [][]byte
			ends   uint64
			text   uint64
		}{
			{"nothing", nil, 0, 0},
			{"messages", [][]byte{whole, frame(0x82, 0), whole}, 3, 0},
			{"fragments", [][]byte{frame(0x02, 1), frame(0x00, 0), frame(0x80, 1), whole}, 2, 0},
			{"control frames", [][]byte{frame(0x89, 125), whole, frame(0x8A, 0), whole}, 2, 0},
			{"a control frame between fragments", [][]byte{frame(0x02, 1), frame(0x89, 1), frame(0x80, 1)}, 1, 0},
			{"text", [][]byte{whole, frame(0x81, 1), whole}, 3, 2},
			{"texts", [][]byte{frame(0x81, 1), whole, frame(0x81, 1)}, 3, 3},
			{"fragments of text", [][]byte{whole, frame(0x01, 1), frame(0x80, 1), whole}, 3, 2},
			{"the beginning of a text", [][]byte{whole, frame(0x01, 1)}, 1, 2},
			{"a close", [][]byte{whole, frame(0x88, 2), whole, frame(0x81, 1)}, 1, 0},
			{"a close between fragments", [][]byte{frame(0x02, 1), frame(0x88, 0), frame(0x80, 1)}, 0, 0},
			{"an extension", [][]byte{whole, frame(0xC2, 1), whole}, 1, 0},
			{"an extension of a ping", [][]byte{whole, frame(0x99, 1), whole}, 1, 0},
			{"an unknown frame", [][]byte{whole, frame(0x83, 1), whole}, 1, 0},
			{"an unknown control frame", [][]byte{whole, frame(0x8B, 1), whole}, 1, 0},
			{"the end of no message", [][]byte{whole, frame(0x80, 1), whole}, 1, 0},
			{"a message within a message", [][]byte{whole, frame(0x02, 1), whole, frame(0x80, 1)}, 1, 0},
			{"a long control frame", [][]byte{whole, frame(0x89, 126), whole}, 1, 0},
			{"a part of a control frame", [][]byte{whole, frame(0x09, 1), whole}, 1, 0},
			{"the wrong mask", [][]byte{whole, appendFrame(nil, 0x82, 1, !masked), whole}, 1, 0},
			{"one that is too big", [][]byte{whole, frame(0x82, 101), whole}, 1, 0},
			{"a huge one", [][]byte{whole, huge}, 1, 0},
		} {
			stream := bytes.Join(c.frames, nil)
			for _, piece := range []int{1, max(len(stream), 1)} {
				var m messages
				for p := range slices.Chunk(stream, piece) {
					m.scan(p, 100, role)
				}
				if m.ends.Load() != c.ends || m.text.Load() != c.text {
					t.Errorf("%s, role %v, pieces of %d: %d messages, the last text is %d; want %d, %d",
						c.name, role, piece, m.ends.Load(), m.text.Load(), c.ends, c.text)
				}
			}
		}
	}
}
