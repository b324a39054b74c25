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
		if n := b.Unacknowledged(); n != 2 {
			t.Errorf("%d signals are not acknowledged", n)
		}
		second.end()
		b.goroutines.Wait()
	})
}
