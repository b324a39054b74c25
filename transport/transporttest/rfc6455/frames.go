package rfc6455

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// frame is what the peer sends.
type frame struct {
	first   byte // FIN, reserved bits, opcode
	payload []byte
	form    byte    // 0: the shortest length; 126 and 127: the longer ones
	length  uint64  // to announce in form 127, if not that of the payload
	wrong   bool    // masked as only the other role may
	mask    [4]byte // used if the frame is masked
}

// bytes returns the frame as the peer of the role r sends it.
func (f frame) bytes(r role) []byte {
	bit := byte(0)
	masked := (r == server) != f.wrong
	if masked {
		bit = 0x80
	}
	n := len(f.payload)
	b := []byte{f.first}
	switch {
	case f.form == 127 || f.form == 0 && n >= 1<<16:
		length := uint64(n)
		if f.length != 0 {
			length = f.length
		}
		b = binary.BigEndian.AppendUint64(append(b, bit|127), length)
	case f.form == 126 || n >= 126:
		b = binary.BigEndian.AppendUint16(append(b, bit|126), uint16(n))
	default:
		b = append(b, bit|byte(n))
	}
	if !masked {
		return append(b, f.payload...)
	}
	b = append(b, f.mask[:]...)
	for i, c := range f.payload {
		b = append(b, c^f.mask[i%4])
	}
	return b
}

// A peer is the other end of a connection that is tested.
type peer struct {
	t      *testing.T
	r      role // of the end that is tested
	socket net.Conn
	in     *bufio.Reader
	writer sync.WaitGroup
	masks  map[[4]byte]bool // that came
}

func newPeer(t *testing.T, r role, socket net.Conn) *peer {
	socket.SetDeadline(time.Now().Add(patience))
	return &peer{t: t, r: r, socket: socket, in: bufio.NewReader(socket), masks: map[[4]byte]bool{}}
}

// patienceless is the size of the pieces of what is sent in one.
const patienceless = 1 << 30

// send sends bytes behind what was sent before, in pieces. The one who is tested
// may close the connection in the middle of them.
func (p *peer) send(bytes []byte, size int) {
	p.writer.Wait()
	p.writer.Go(func() {
		for piece := range slices.Chunk(bytes, size) {
			if _, err := p.socket.Write(piece); err != nil {
				return
			}
		}
	})
}

func (p *peer) end() {
	p.socket.Close()
	p.writer.Wait()
}

// next returns the next frame, after a look at what no frame may be.
func (p *peer) next() (first byte, payload []byte) {
	p.t.Helper()
	head := p.read(2)
	first = head[0]
	if first&0x70 != 0 {
		p.t.Fatalf("a frame has reserved bits: %#x", first)
	}
	n := uint64(head[1] & 0x7F)
	minimum := uint64(0)
	switch n {
	case 126:
		n, minimum = uint64(binary.BigEndian.Uint16(p.read(2))), 126
	case 127:
		n, minimum = binary.BigEndian.Uint64(p.read(8)), 1<<16
	}
	if n < minimum {
		p.t.Fatalf("a frame has its length %d in too many bytes", n)
	}
	if first&8 != 0 && (first&0x80 == 0 || n > 125) {
		p.t.Fatalf("a control frame is fragmented or has %d bytes", n)
	}
	masked := head[1]&0x80 != 0
	if masked != (p.r == client) {
		p.t.Fatalf("a frame of the %v is masked: %v", p.r, masked)
	}
	var mask [4]byte
	if masked {
		mask = [4]byte(p.read(4))
		p.masks[mask] = true
	}
	payload = p.read(int(n))
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return first, payload
}

func (p *peer) read(n int) []byte {
	p.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(p.in, b); err != nil {
		p.t.Fatalf("the peer waits for %d bytes: %v", n, err)
	}
	return b
}

// message returns the next message. Pings may come before and within.
func (p *peer) message() (msg []byte) {
	p.t.Helper()
	for begun := false; ; {
		first, payload := p.next()
		op := first & 0xF
		if op == 9 {
			continue
		}
		if begun && op != 0 || !begun && op != 2 {
			p.t.Fatalf("a frame has opcode %d where a message begins or goes on (begun: %v)", op, begun)
		}
		begun = true
		msg = append(msg, payload...)
		if first&0x80 != 0 {
			return msg
		}
	}
}

// wantPongs reads the answers to pings. All but the last may be missing.
func (p *peer) wantPongs(payloads []string) {
	p.t.Helper()
	for len(payloads) > 0 {
		first, payload := p.next()
		i := slices.Index(payloads, string(payload))
		if first != 0x8A || i < 0 {
			p.t.Fatalf("a frame %#x with %q came, want pongs with %q", first, payload, payloads)
		}
		payloads = payloads[i+1:]
	}
}

// wantClose reads a close frame, answers it, and waits for the end.
func (p *peer) wantClose(status transport.Status) {
	p.t.Helper()
	first, payload := p.next()
	if first != 0x88 {
		p.t.Fatalf("a frame %#x came, want one that closes", first)
	}
	got := transport.StatusNoStatusReceived
	if len(payload) >= 2 {
		got = transport.Status(binary.BigEndian.Uint16(payload))
	}
	if got != status {
		p.t.Fatalf("a close frame with status %d came, want %d", got, status)
	}
	p.writer.Wait()
	p.socket.Write(frame{first: 0x88, payload: payload}.bytes(p.r)) // fails if it is the second one
	if tcp, ok := p.socket.(interface{ CloseWrite() error }); ok {
		tcp.CloseWrite()
	}
	if rest, _ := io.ReadAll(p.in); len(rest) > 0 {
		p.t.Fatalf("%d bytes came after a close frame", len(rest))
	}
}
