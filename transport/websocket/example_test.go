package websocket_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/websocket"
)

func Example() {
	// A server that answers one message. Its handler may return at once; the
	// connection lives on.
	upgrader := websocket.Upgrader{Origins: []string{"https://app.example.com"}}
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, "example.v1")
		if err != nil {
			return // the request has been answered
		}
		go func() {
			msg, err := conn.Read(nil)
			if err == nil {
				conn.Write([]byte("you said"), msg)
			}
			conn.Close(transport.StatusNormal, "that is all")
		}()
	}))
	defer host.Close()

	conn, err := websocket.Dialer{URL: host.URL}.Dial(context.Background(), "example.v1")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Abort()
	fmt.Println("protocol:", conn.Protocol())
	if err := conn.Write([]byte("hello")); err != nil {
		log.Fatal(err)
	}
	for {
		msg, err := conn.Read(nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s\n", msg)
	}
	// Output:
	// protocol: example.v1
	// you said
	// hello
	// transport: connection closed by the peer (1000): that is all
}
