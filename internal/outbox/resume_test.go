package outbox

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/protocol"
)

// An outbox may fail while what it has kept is being written again, and part of that is
// acknowledged already.
func TestFailWithinReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(newWire(), Config{Version: protocol.V3_0, Size: 1 << 20, Keeping: &Keeping{}})
		b.conf.Conn = b.wire
		const messages = 5
		for range messages { // too long to share a batch
			if err := b.send(context.Background(), "s", strings.Repeat("x", 2*maxAbsorbed)); err != nil {
				t.Fatal(err)
			}
		}
		b.Suspend()
		second := newWire()
		second.gate = make(chan struct{}) // the write does not end
		flush, err := b.Resume(second, 0, nil)
		if err != nil || !flush {
			t.Fatalf("Resume: %t, %v", flush, err)
		}
		b.Write(0)
		synctest.Wait()
		if !b.Acknowledged(messages - 2) {
			t.Fatal("the acknowledgement is refused")
		}
		b.Fail(errors.New("broken"))
		if all, unwritten := b.Unacknowledged(); all != 2 || unwritten != 2 {
			t.Errorf("%d signals are not acknowledged, %d of them not written", all, unwritten)
		}
		second.end()
		b.goroutines.Wait()
	})
}

// The memory of what is being sent again is not used for anything else, even if the peer
// acknowledges it too early.
func TestAckWithinReplay(t *testing.T) {
	const messages, size = 5, maxBatch / 3 // two writes
	for round := range 9 {
		synctest.Test(t, func(t *testing.T) {
			l := newLine(t, 2*maxBatch)
			b := newBox(newWire(), Config{Conn: l, Version: protocol.V3_0, Size: 4 << 20, Keeping: &Keeping{}})
			b.Suspend()
			b.Hold()
			for i := range messages {
				if err := b.send(t.Context(), "s", content(i, size)); err != nil {
					t.Fatal(err)
				}
			}
			resume := func() {
				t.Helper()
				flush, err := b.Resume(l, 0, nil)
				if err != nil || !flush {
					t.Fatalf("Resume: %t, %v", flush, err)
				}
				b.Write(0)
				synctest.Wait()
			}
			resume()
			for l.isBusy() {
				l.done <- nil
				synctest.Wait()
			}
			b.Suspend()
			resume()
			acks := [][]uint64{{messages, messages}, {messages - 1, messages}, {0, messages}}[round%3]
			for i, writes := 0, 0; i < messages; writes++ {
				if writes == len(acks) || !l.isBusy() {
					t.Fatalf("%d messages were sent again, in %d writes", i, writes)
				}
				if !b.Acknowledged(acks[writes]) {
					t.Fatal("the acknowledgement is refused")
				}
				for range 150 {
					if err := b.send(t.Context(), "s", strings.Repeat("?", 4<<10)); err != nil {
						t.Fatal(err)
					}
				}
				l.take(messages-i, func(msg []byte) {
					if m, err := protocol.V3_0.Parse(msg); err != nil || m.Payload.Text() != content(i, size) {
						t.Errorf("message %d is %.20q, %v", i, msg, err)
					}
					i++
				})
				l.done <- nil
				synctest.Wait()
			}
			b.Fail(errTestOver)
			close(l.over)
			b.goroutines.Wait()
		})
	}
}

// What is sent again is written in parts: each is a write of its own, so that a peer that
// reads slowly, but does, is not late.
func TestReplayIsWrittenInParts(t *testing.T) {
	w := newWire()
	b := newBox(w, Config{Conn: w, Version: protocol.V3_0, Size: 4 << 20, Keeping: &Keeping{}})
	const messages = 300
	for i := range messages {
		if err := b.send(t.Context(), "s", content(i, 4<<10)); err != nil {
			t.Fatal(err)
		}
	}
	b.drain(t.Context())
	b.Suspend()
	next := newWire()
	opening := []byte("opening")
	flush, err := b.Resume(next, 0, func(plan Replay) []byte {
		if plan != (Replay{From: 1}) {
			t.Errorf("the plan is %+v", plan)
		}
		return opening
	})
	if err != nil || !flush {
		t.Fatalf("Resume: %t, %v", flush, err)
	}
	b.Write(1)
	b.drain(t.Context())
	var all []string
	for _, batch := range next.written() {
		size := 0
		for _, msg := range batch {
			size += len(msg)
		}
		if size >= maxBatch+(8<<10) {
			t.Errorf("a write of %d bytes", size)
		}
		all = append(all, batch...)
	}
	if len(all) != messages+1 || all[0] != string(opening) {
		t.Fatalf("%d messages, %q first", len(all), all[0])
	}
	for i, msg := range all[1:] {
		if m, err := protocol.V3_0.Parse([]byte(msg)); err != nil || m.Payload.Text() != content(i, 4<<10) {
			t.Errorf("message %d is %.20q, %v", i, msg, err)
		}
	}
	if n := len(next.written()); n < 8 {
		t.Errorf("%d writes", n)
	}
}

// Signals that are being written when the outbox fails are not acknowledged, except those
// that are.
func TestUnacknowledgedWithinWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, maxBatch)
		b := newBox(newWire(), Config{Conn: l, Version: protocol.V3_0, Size: 1 << 20, Keeping: &Keeping{}})
		b.Hold()
		var gone [2]Mark
		for i := range 10 {
			m := signal("s", "x")
			if i == 9 {
				m = protocol.Message{Kind: protocol.Reply, Payload: protocol.Text("x")}
			}
			if i < 2 {
				_, _ = b.Add(t.Context(), &m, &gone[i])
			} else if err := b.Send(t.Context(), &m); err != nil {
				t.Fatal(err)
			}
		}
		if !b.Remove(&gone[1]) {
			t.Fatal("a message cannot be removed")
		}
		b.Let()
		synctest.Wait()
		if err := b.send(t.Context(), "s", "queued"); err != nil {
			t.Fatal(err)
		}
		if !b.Acknowledged(3) {
			t.Fatal("the acknowledgement is refused")
		}
		b.Fail(errTestOver)
		if all, unwritten := b.Unacknowledged(); all != 5+1 || unwritten != all {
			t.Errorf("%d signals are not acknowledged, %d of them not written", all, unwritten)
		}
		close(l.over)
		b.goroutines.Wait()
	})
}
