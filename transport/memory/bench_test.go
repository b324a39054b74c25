package memory_test

import (
	"testing"

	"github.com/webwire-go/webwire/transport/memory"
)

func BenchmarkPipelined(b *testing.B) {
	const batch = 64
	x, y := memory.Pipe()
	defer x.Abort()
	msgs := make([][]byte, batch)
	for i := range msgs {
		msgs[i] = make([]byte, 64)
	}
	b.ReportAllocs()
	go func() {
		for {
			if x.Write(msgs...) != nil {
				return
			}
		}
	}()
	buf := make([]byte, 0, 64)
	for b.Loop() {
		if _, err := y.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	x, y := memory.Pipe()
	defer x.Abort()
	go func() {
		msgs := make([][]byte, 1)
		for {
			msg, err := y.Read(msgs[0])
			if err != nil {
				return
			}
			if msgs[0] = msg; y.Write(msgs...) != nil {
				return
			}
		}
	}()
	b.ReportAllocs()
	msgs, buf := [][]byte{make([]byte, 64)}, make([]byte, 0, 64)
	for b.Loop() {
		if err := x.Write(msgs...); err != nil {
			b.Fatal(err)
		}
		if _, err := x.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkConnect(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		x, _ := memory.Pipe()
		x.Abort()
	}
}
