package outbox

import (
	"context"
	"testing"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// sink is a connection that takes everything at once.
type sink struct{ transport.Conn }

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
		o := newBox(nil, Config{Conn: sink{}, Version: protocol.V1_2, Size: 1 << 20})
		b.ReportAllocs()
		for b.Loop() {
			send(b, o, &m)
		}
	})
	b.Run("add-concurrently", func(b *testing.B) {
		o := newBox(nil, Config{Conn: sink{}, Version: protocol.V1_2, Size: 1 << 20})
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				send(b, o, &m)
			}
		})
	})
	b.Run("add-encoded", func(b *testing.B) {
		o := newBox(nil, Config{Conn: sink{}, Version: protocol.V1_2, Size: 1 << 20})
		b.ReportAllocs()
		for b.Loop() {
			flush, err := o.addEncoded(ctx, encoded)
			if err != nil {
				b.Fatal(err)
			}
			if flush {
				o.flush(MaxRounds)
			}
		}
	})
}

func send(b *testing.B, o *box, m *protocol.Message) {
	if err := o.Send(context.Background(), m); err != nil {
		b.Error(err)
	}
}
