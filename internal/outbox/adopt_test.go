package outbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/protocol"
)

// Another outbox goes on where one was: it sends what the peer has not received, and numbers
// what follows.
func TestAdopt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		total := &Total{Limit: 1 << 20}
		conf := Config{Version: protocol.V3_0, Size: 1 << 20, Keeping: &Keeping{Displace: true, Total: total}}
		before := newBox(newWire(), conf)
		before.conf.Conn = before.wire
		send := func(b *box, i int) {
			if err := b.send(context.Background(), fmt.Sprint(i), strings.Repeat("x", 100)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 400 {
			send(before, i)
		}
		before.Acknowledged(100)
		if _, ok := before.State(); ok {
			t.Error("an outbox with a socket is handed over")
		}
		before.Suspend()
		for i := 400; i < 500; i++ {
			send(before, i)
		}
		s, ok := before.State()
		if !ok || s.Next() != 501 || s.Acked != 100 || len(s.Kept) != 400 {
			t.Fatalf("state: next %d, acked %d, %d messages, %t", s.Next(), s.Acked, len(s.Kept), ok)
		}
		for received, want := range map[uint64]bool{99: false, 100: true, 500: true, 501: false} {
			if s.Continues(received) != want {
				t.Errorf("with %d received it continues: %t", received, !want)
			}
		}
		after := newBox(newWire(), conf)
		after.conf.Conn = after.wire
		after.Adopt(s)
		send(after, 500)
		flush, err := after.Resume(after.wire, 450, func(plan Replay) []byte {
			if plan != (Replay{From: 451}) {
				t.Errorf("the plan is %+v", plan)
			}
			return []byte{0}
		})
		if err != nil || !flush {
			t.Fatalf("Resume: %t, %v", flush, err)
		}
		after.Write(1)
		send(after, 501)
		synctest.Wait()
		got := slices.Concat(after.wire.written()...)[1:]
		for i, msg := range got {
			m, err := protocol.V3_0.Parse([]byte(msg))
			if err != nil || m.Name != fmt.Sprint(450+i) {
				t.Fatalf("message %d is %q, %v", i, m.Name, err)
			}
		}
		if len(got) != 52 || !after.Acknowledged(502) || after.Acknowledged(503) {
			t.Errorf("%d messages are sent", len(got))
		}
		before.Fail(ErrFull)
		after.Fail(ErrFull)
		if n := total.bytes.Load(); n != 0 {
			t.Errorf("%d bytes are still counted", n)
		}
	})
}

// What was set aside goes with the rest.
func TestAdoptLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conf := Config{Version: protocol.V3_0, Size: 1 << 20, Keeping: &Keeping{Displace: true}}
		before := newBox(newWire(), conf)
		before.conf.Conn = before.wire
		before.Suspend()
		reply := protocol.Message{Kind: protocol.Reply, ID: protocol.NewID(7)}
		item := protocol.Message{Kind: protocol.Item, ID: protocol.NewID(8)}
		for _, m := range []*protocol.Message{&reply, &item} {
			if err := before.Send(context.Background(), m); err != nil {
				t.Fatal(err)
			}
		}
		for i := range ringMessages + 10 {
			if err := before.send(context.Background(), fmt.Sprint(i), ""); err != nil {
				t.Fatal(err)
			}
		}
		s, ok := before.State()
		if !ok || len(s.Late) != 1 || len(s.Items) != 1 || len(s.Kept) != ringMessages {
			t.Fatalf("%d late, %d items, %d kept, %t", len(s.Late), len(s.Items), len(s.Kept), ok)
		}
		after := newBox(newWire(), conf)
		after.conf.Conn = after.wire
		after.Adopt(s)
		var plan Replay
		if _, err := after.Resume(after.wire, 0, func(p Replay) []byte {
			plan = p
			return []byte{0}
		}); err != nil {
			t.Fatal(err)
		}
		after.Write(1)
		final := protocol.Message{Kind: protocol.Reply, ID: protocol.NewID(8)}
		if err := after.Send(context.Background(), &final); err != nil {
			t.Fatal(err)
		}
		got := slices.Concat(after.wire.written()...)
		late, _ := protocol.V3_0.Parse([]byte(got[1]))
		last, _ := protocol.V3_0.Parse([]byte(got[len(got)-1]))
		// The item and ten signals are lost, the reply is not.
		if plan.Late != 1 || plan.Lost != 11 || late.ID != reply.ID || last.Kind != protocol.ReplyFailure || last.ID != final.ID {
			t.Errorf("plan %+v, late %v, the stream ends with %v", plan, late, last)
		}
		before.Fail(ErrFull)
		after.Fail(ErrFull)
	})
}
