package link

import (
	"context"
	"errors"
	"testing"

	"github.com/webwire-go/webwire/protocol"
)

// informed is the owner of an outbox that must not have failed before it is told.
type informed struct {
	t      *testing.T
	outbox *outbox
	ended  bool
}

func (i *informed) crowded() bool { return false }
func (i *informed) let()          {}

func (i *informed) end(error) {
	i.outbox.mu.Lock()
	defer i.outbox.mu.Unlock()
	if i.outbox.err != nil {
		i.t.Errorf("the outbox failed (%v) before the link was told", i.outbox.err)
	}
	i.ended = true
}

// Who finds that the outbox failed finds the cause of the connection's end as well:
// without it a request would not know that it was not sent.
func TestOutboxFailsAfterTheLink(t *testing.T) {
	w := newWire()
	w.fail = errors.New("broken")
	told := &informed{t: t}
	o := outbox{conf: &Config{Conn: w, Version: protocol.V1_2, OutboxSize: 1000}, owner: told}
	told.outbox = &o
	m := &protocol.Message{Kind: protocol.Signal, Name: "s", Payload: protocol.Text("x")}
	flush, err := o.add(context.Background(), m, nil)
	if err != nil || !flush {
		t.Fatalf("add: %t, %v", flush, err)
	}
	for !o.flush(maxRounds) {
	}
	if !told.ended {
		t.Error("the link was not told")
	}
	if _, err := o.add(context.Background(), m, nil); !errors.Is(err, w.fail) {
		t.Errorf("add afterwards: %v", err)
	}
}
