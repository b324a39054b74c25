package protocol_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/webwire-go/webwire/protocol"
)

// The floor is what one would write by hand for requests of one version and
// nothing else: the measure for the price of the table.

type floorRequest struct {
	id       [8]byte
	name     string
	encoding byte
	payload  []byte
}

var errFloor = errors.New("malformed")

//go:noinline
func (r floorRequest) append(dst []byte) ([]byte, error) {
	if len(r.name) > 255 || len(r.payload) == 0 && len(r.name) == 0 || r.encoding > 2 {
		return dst, errFloor
	}
	b := unsafe.Slice(unsafe.StringData(r.name), len(r.name))
	for ; len(b) >= 8; b = b[8:] {
		w := binary.LittleEndian.Uint64(b)
		if (w|(w-0x2020202020202020)|(w+0x0101010101010101))&0x8080808080808080 != 0 {
			return dst, errFloor
		}
	}
	for _, c := range b {
		if c < ' ' || c > '~' {
			return dst, errFloor
		}
	}
	dst = append(dst, 127+r.encoding)
	dst = append(dst, r.id[:]...)
	dst = append(dst, byte(len(r.name)))
	dst = append(dst, r.name...)
	if r.encoding == 2 {
		if len(r.payload)%2 != 0 {
			return dst, errFloor
		}
		if len(r.name)%2 != 0 {
			dst = append(dst, 0)
		}
	}
	return append(dst, r.payload...), nil
}

// As the codec is called and not inlined, the floor is.
//
//go:noinline
func parseFloor(b []byte) (floorRequest, error) {
	if len(b) < 11 || b[0] < 127 || b[0] > 129 {
		return floorRequest{}, errFloor
	}
	encoding := b[0] - 127
	end := 10 + int(b[9])
	if end > len(b) {
		return floorRequest{}, errFloor
	}
	pos := end
	if encoding == 2 {
		pos += pos % 2
		if pos > len(b) || len(b)%2 != 0 {
			return floorRequest{}, errFloor
		}
	}
	if pos == len(b) && end == 10 {
		return floorRequest{}, errFloor
	}
	return floorRequest{[8]byte(b[1:9]), unsafe.String(&b[10], end-10), encoding, b[pos:]}, nil
}

// The request of all benchmarks: a name of 16 bytes, a payload of 32.
const (
	benchName    = "chat.room.say-it"
	benchPayload = "a payload of exactly 32 bytes :)"
)

func benchRequest() (protocol.Message, floorRequest) {
	m := protocol.Message{
		Kind:    protocol.Request,
		ID:      protocol.NewID(7),
		Name:    benchName,
		Payload: protocol.Text(benchPayload),
	}
	return m, floorRequest{m.ID, m.Name, 1, m.Payload.Data}
}

// withDeadline returns m with what each request of 3.0 has.
func withDeadline(v protocol.Version, m protocol.Message) protocol.Message {
	if v >= protocol.V3_0 {
		m.Head = m.Head.AppendDeadline(time.Minute)
	}
	return m
}

func BenchmarkAppend(b *testing.B) {
	m, r := benchRequest()
	buf := make([]byte, 0, 128)
	floor := func(n int) {
		for range n {
			buf, _ = r.append(buf[:0])
		}
	}
	for _, v := range protocol.Versions() {
		b.Run(v.String(), func(b *testing.B) {
			m := withDeadline(v, m)
			compare(b, floor, func(n int) {
				for range n {
					buf, _ = v.Append(buf[:0], m)
				}
			})
		})
	}
}

func BenchmarkParse(b *testing.B) {
	m, r := benchRequest()
	data, _ := r.append(nil)
	floor := func(n int) {
		var parsed floorRequest
		for range n {
			parsed, _ = parseFloor(data)
		}
		r = parsed
	}
	for _, v := range protocol.Versions() {
		b.Run(v.String(), func(b *testing.B) {
			data, err := v.Append(nil, withDeadline(v, m))
			if err != nil {
				b.Fatal(err)
			}
			compare(b, floor, func(n int) {
				var parsed protocol.Message
				for range n {
					parsed, _ = v.Parse(data)
				}
				m = parsed
				m.Head = nil
			})
		})
	}
	if m.Name != r.name {
		b.Fatal("the codecs disagree")
	}
}

// compare runs the floor and the codec in turn, in short stretches, because the
// speed of a machine changes within a second, and reports how much longer the
// codec takes, as the median over all stretches.
func compare(b *testing.B, floor, codec func(n int)) {
	const stretch = 1000
	var (
		ratios []float64
		spent  time.Duration
	)
	b.ReportAllocs()
	for left := b.N; left > 0; left -= stretch {
		n := min(left, stretch)
		begin := time.Now()
		floor(n)
		between := time.Now()
		codec(n)
		end := time.Now()
		spent += end.Sub(between)
		ratios = append(ratios, float64(end.Sub(between))/float64(between.Sub(begin)))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "x-floor")
	b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "ns/op")
}
