package engine_test

import (
	"context"
	"fmt"
	"time"

	"github.com/webwire-go/webwire/engine"
)

// printer is an inlet that prints what is delivered.
type printer struct{ done chan struct{} }

func (p printer) Deliver(subject string, d engine.Delivery) {
	fmt.Printf("%s: %s\n", subject, d.Data)
	p.done <- struct{}{}
}

func (p printer) Asked(_ context.Context, _ engine.NodeID, data []byte) ([]byte, error) {
	return append([]byte("answer to "), data...), nil
}

func (p printer) Lost([]string, error) {}

// Two nodes in one process: what one appends is delivered to the other, which can also
// read it later, and answers questions.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	memory := engine.Memory{History: 1000}
	a, b := memory.Node(), memory.Node()
	idOfB, inlet := engine.NewNodeID(), printer{make(chan struct{})}
	for _, err := range []error{
		a.Bus.Open(ctx, engine.NewNodeID(), printer{}),
		b.Bus.Open(ctx, idOfB, inlet),
		b.Bus.Subscribe(ctx, "room.42"),
	} {
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	defer a.Bus.Close()
	defer b.Bus.Close()

	at, err := a.Log.Append(ctx, "room.42", []byte("hello"), "")
	if err != nil {
		fmt.Println(err)
		return
	}
	<-inlet.done
	if _, err := a.Log.Append(ctx, "room.42", []byte("again"), ""); err != nil {
		fmt.Println(err)
		return
	}
	<-inlet.done

	page, err := b.Log.Read(ctx, "room.42", at, 100)
	fmt.Printf("after the first: %s, complete: %t, %v\n", page.Entries[0].Data, page.Complete, err)
	answer, err := a.Bus.Ask(ctx, idOfB, []byte("a question"))
	fmt.Printf("%s, %v\n", answer, err)
	// Output:
	// room.42: hello
	// room.42: again
	// after the first: again, complete: true, <nil>
	// answer to a question, <nil>
}
