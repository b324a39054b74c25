package outbox

import (
	"testing"

	"github.com/webwire-go/webwire/protocol"
)

func TestAcksToAPeerThatDoesNotRead(t *testing.T) {
	d := newDisplacing(t)
	d.wire.gate = make(chan struct{}, 10)
	for number := range uint64(100_000) {
		flush, err := d.Urge(&protocol.Message{Kind: protocol.Ack, Number: number})
		if err != nil {
			t.Fatal(err)
		}
		if flush {
			d.Write(0)
		}
	}
	d.mu.Lock()
	if n := len(d.urgent.msgs); n > 1 {
		t.Errorf("%d acknowledgements wait", n)
	}
	d.mu.Unlock()
	for range 10 {
		d.wire.gate <- struct{}{}
	}
	d.drain(t.Context())
	all := d.wire.written()
	last := all[len(all)-1]
	if m, err := protocol.V3_0.Parse([]byte(last[len(last)-1])); err != nil || m.Number != 99_999 {
		t.Errorf("the last one is %v, %v", m, err)
	}
}
