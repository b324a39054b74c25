package outbox

import (
	"context"
	"errors"
	"testing"

	"github.com/webwire-go/webwire/transport"
)

// informed is the owner of an outbox that must not have failed before Failed is called.
type informed struct {
	*box
	t    *testing.T
	told bool
}

func (i *informed) Failed(err error) (away bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err != nil {
		i.t.Errorf("the outbox failed (%v) before its owner was told", i.err)
	}
	i.told = true
	return i.box.Failed(err)
}

// Whoever finds that the outbox failed finds the cause of the connection's end as well:
// without it a request would not know that it was not sent.
func TestOwnerIsToldFirst(t *testing.T) {
	w := newWire()
	w.fail = errors.New("broken")
	o := &informed{box: open(t, w, 1000), t: t}
	o.owner = o
	if err := o.send(context.Background(), "s", "x"); err != nil {
		t.Fatal(err) // it was accepted
	}
	if !o.told {
		t.Error("the owner was not told")
	}
	if err := o.send(context.Background(), "s", "x"); !errors.Is(err, w.fail) {
		t.Errorf("afterwards: %v", err)
	}
}

// What was let go is written even if the reader holds back again before the goroutine
// that is to write it begins.
func TestLetMeansWrite(t *testing.T) {
	w := newWire()
	o := open(t, w, 1<<20)
	o.Hold()
	m := signal("s", "x")
	if flush, err := o.Add(t.Context(), &m, nil); flush || err != nil {
		t.Fatalf("Add: %t, %v", flush, err)
	}
	if !o.LetGo() {
		t.Fatal("nothing to flush")
	}
	o.Hold()
	o.Write(MaxRounds)
	if n := len(w.written()); n != 1 {
		t.Errorf("%d writes", n)
	}
}

// Of a message that a failed write certainly did not send, its Mark says so.
func TestPartialWrite(t *testing.T) {
	w := newWire()
	w.fail = &transport.PartialError{Sent: 1, Err: errors.New("broken")}
	o := open(t, w, 1<<20)
	o.Hold()
	var marks [3]Mark
	for i := range marks {
		m := signal("s", "x")
		if _, err := o.Add(t.Context(), &m, &marks[i]); err != nil {
			t.Fatal(err)
		}
	}
	if !o.LetGo() {
		t.Fatal("nothing to flush")
	}
	o.Write(MaxRounds)
	for i := range marks {
		if handed, want := o.WasHanded(&marks[i]), i == 0; handed != want {
			t.Errorf("message %d: handed %t, want %t", i, handed, want)
		}
	}
	if o.WasHanded(new(Mark)) {
		t.Error("a message that was not added was handed")
	}
}
