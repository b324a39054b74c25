package memory_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

func ExampleListener() {
	listener := memory.Listen()
	defer listener.Close()

	// A server that echoes what it reads.
	go func() {
		conn, err := listener.Accept(transport.AcceptOptions{})
		if err != nil {
			return
		}
		defer conn.Abort()
		for {
			msg, err := conn.Read(nil)
			if err != nil {
				return
			}
			if err := conn.Write(msg); err != nil {
				return
			}
		}
	}()

	conn, err := listener.Dial(context.Background(), transport.DialOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close(transport.StatusNormalClosure, "")
	if err := conn.Write([]byte("hello"), []byte("world")); err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		msg, err := conn.Read(nil)
		fmt.Printf("%s %v\n", msg, err)
	}
	// Output:
	// hello <nil>
	// world <nil>
}

func ExamplePipe() {
	a, b := memory.Pipe()
	a.Write([]byte("the last message"))
	a.Close(transport.StatusGoingAway, "restart")

	msg, err := b.Read(nil)
	fmt.Printf("%s %v\n", msg, err)
	_, err = b.Read(nil)
	var closed *transport.CloseError
	if errors.As(err, &closed) {
		fmt.Printf("%v: %s\n", closed.Status, closed.Reason)
	}
	// Output:
	// the last message <nil>
	// 1001 going away: restart
}
