package stream_test

import (
	"context"
	"fmt"

	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/stream"
)

func Example() {
	listener, err := stream.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
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

	dialer := stream.Dialer{Network: "tcp", Address: listener.Addr().String()}
	conn, err := dialer.Dial(context.Background(), transport.DialOptions{})
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
