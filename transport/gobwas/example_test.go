package gobwas_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/gobwas"
)

// The Upgrader of the server and the Dialer of the client are all that changes.
func Example() {
	var mux server.Mux
	mux.Request("greet", func(_ context.Context, r *server.Request) (protocol.Payload, error) {
		return protocol.Payload{Data: fmt.Appendf(nil, "hello, %s", r.Payload.Data)}, nil
	})
	srv := server.New(server.Options{
		Upgrader: &gobwas.Upgrader{},
		Hooks:    server.Hooks{OnRequest: mux.HandleRequest},
	})
	defer srv.Close()
	host := httptest.NewServer(srv)
	defer host.Close()

	c := client.New(&gobwas.Dialer{URL: host.URL}, client.Options{})
	defer c.Close()
	reply, err := c.Request(context.Background(), "greet", protocol.Payload{Data: []byte("Ada")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", reply.Data)
	// Output: hello, Ada
}
