package link

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/webwire-go/webwire/protocol"
)

// Who finds that the outbox failed finds the cause of the connection's end as well:
// without it a request would not know that it was not sent.
func TestOutboxFailsAfterTheLink(t *testing.T) {
	w := newWire()
	w.fail = errors.New("broken")
	var told atomic.Bool
	var o outbox
	o = outbox{
		conn: w, version: protocol.V1_2, limit: 1000,
		crowded: func() bool { return false },
		failed: func(error) {
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.err != nil {
				t.Errorf("the outbox failed (%v) before the link was told", o.err)
			}
			told.Store(true)
		},
	}
	m := &protocol.Message{Kind: protocol.Signal, Name: "s", Payload: protocol.Text("x")}
	flush, err := o.add(context.Background(), m, nil)
	if err != nil || !flush {
		t.Fatalf("add: %t, %v", flush, err)
	}
	for !o.flush() {
	}
	if !told.Load() {
		t.Error("the link was not told")
	}
	if _, err := o.add(context.Background(), m, nil); !errors.Is(err, w.fail) {
		t.Errorf("add afterwards: %v", err)
	}
}
