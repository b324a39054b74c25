package link

import (
	"context"
	"testing"

	"github.com/webwire-go/webwire/protocol"
)

// sink is a connection that takes everything at once.
type sink struct{ *wire }

func (sink) Write(...[]byte) error { return nil }

// BenchmarkOutbox adds requests of 32 bytes and flushes them: alone, as one of many
// goroutines, and encoded before, as a broadcast is.
func BenchmarkOutbox(b *testing.B) {
	m := protocol.Message{
		Kind: protocol.Request, ID: protocol.NewID(7), Name: "chat.room.say-it",
		Payload: protocol.Bytes(make([]byte, 32)),
	}
	encoded, err := protocol.V1_2.Append(nil, m)
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	b.Run("add", func(b *testing.B) {
		l := New(ctx, config(sink{newWire()}))
		b.ReportAllocs()
		for b.Loop() {
			send(b, l, ctx, &m)
		}
	})
	b.Run("add-concurrently", func(b *testing.B) {
		l := New(ctx, config(sink{newWire()}))
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				send(b, l, ctx, &m)
			}
		})
	})
	b.Run("add-encoded", func(b *testing.B) {
		l := New(ctx, config(sink{newWire()}))
		b.ReportAllocs()
		for b.Loop() {
			flush, err := l.out.addEncoded(ctx, encoded)
			if err != nil {
				b.Fatal(err)
			}
			if flush {
				l.out.flush(maxRounds)
			}
		}
	})
}

func send(b *testing.B, l *Link, ctx context.Context, m *protocol.Message) {
	flush, err := l.out.add(ctx, m, nil)
	if err != nil {
		b.Error(err)
	}
	if flush {
		for !l.out.flush(maxRounds) {
		}
	}
}
