package natsengine_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/webwire-go/webwire/engine"
	natsengine "github.com/webwire-go/webwire/engine/nats"
)

// room passes on what is published in a room, once for each position.
type room struct {
	engine.Inlet // the rest is not used here
	said         chan string
}

func (r room) Deliver(_ string, d engine.Delivery) { r.said <- string(d.Data) }

func (r room) Lost([]string, error) {}

// An embedded NATS server is for trying things out and for tests. In production run
// three servers of their own.
func Example() {
	dir, err := os.MkdirTemp("", "nats")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ns, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
	})
	if err != nil {
		panic(err)
	}
	ns.Start()
	defer ns.Shutdown()
	if !ns.ReadyForConnections(10 * time.Second) {
		panic("NATS does not start")
	}

	ctx := context.Background()
	opts := natsengine.Options{URL: ns.ClientURL(), App: "chat"}
	a, b := natsengine.New(opts), natsengine.New(opts)
	ofA, ofB := room{said: make(chan string, 1)}, room{said: make(chan string, 1)}
	if err := a.Bus.Open(ctx, engine.NewNodeID(), ofA); err != nil {
		panic(err)
	}
	defer a.Bus.Close()
	if err := b.Bus.Open(ctx, engine.NewNodeID(), ofB); err != nil {
		panic(err)
	}
	defer b.Bus.Close()

	if err := b.Bus.Subscribe(ctx, "room.42"); err != nil {
		panic(err)
	}
	if _, err := a.Log.Append(ctx, "room.42", []byte("hello"), ""); err != nil {
		panic(err)
	}
	fmt.Println("b hears", <-ofB.said)
	page, err := a.Log.Read(ctx, "room.42", engine.Position{}, 10)
	if err != nil {
		panic(err)
	}
	fmt.Println("a reads", string(page.Entries[0].Data))
	// Output:
	// b hears hello
	// a reads hello
}
