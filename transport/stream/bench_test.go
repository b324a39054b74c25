package stream_test

import (
	"net"
	"testing"

	"github.com/webwire-go/webwire/transport"
)

// Messages of 64 bytes one way over one connection.
func BenchmarkPipelined(b *testing.B) {
	for name, batch := range map[string]int{"1": 1, "64": 64} {
		b.Run(name, func(b *testing.B) {
			x, y := benchPair(b)
			msgs := make([][]byte, batch)
			for i := range msgs {
				msgs[i] = make([]byte, 64)
			}
			go func() {
				for x.Write(msgs...) == nil {
				}
			}()
			b.ReportAllocs()
			buf := make([]byte, 0, 64)
			for b.Loop() {
				if _, err := y.Read(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Messages of 1 MiB one way over one connection.
func BenchmarkLarge(b *testing.B) {
	x, y := benchPair(b)
	msgs := [][]byte{make([]byte, 1<<20)}
	go func() {
		for x.Write(msgs...) == nil {
		}
	}()
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	buf := make([]byte, 0, 1<<20)
	for b.Loop() {
		if _, err := y.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	x, y := benchPair(b)
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

func benchPair(b *testing.B) (x, y transport.Conn) {
	var nets [2]net.Conn
	nets[0], nets[1] = netPair(b, "tcp", "127.0.0.1:0", nil)
	x, y = meet(b, nets[0], nets[1], transport.DialOptions{}, transport.AcceptOptions{})
	b.Cleanup(func() {
		x.Abort()
		y.Abort()
	})
	return x, y
}
