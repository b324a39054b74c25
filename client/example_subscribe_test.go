package client_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/memory"
)

func ExampleClient_Subscribe() {
	srv := server.New(server.Options{
		Topics: func(string) server.TopicOptions { return server.TopicOptions{History: true} },
		Hooks: server.Hooks{
			OnSubscribe: func(context.Context, *server.Conn, string) (any, error) { return nil, nil },
		},
	})
	ln := memory.Listen()
	go srv.Serve(ln)
	defer srv.Close()
	c := client.New(ln, client.Options{})
	defer c.Close()
	ctx := context.Background()
	for _, text := range []string{"it rains", "it pours"} {
		srv.Topic("weather").Publish(ctx, "report", protocol.Text(text))
	}

	all := &protocol.Position{} // nil: only what follows
	weather, err := c.Subscribe(ctx, "weather", client.SubscribeOptions{Since: all})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer weather.Close()
	srv.Topic("weather").Publish(ctx, "report", protocol.Text("the sun is out"))
	n := 0
	for m, err := range weather.Messages(ctx) {
		var gap *client.GapError
		switch {
		case errors.As(err, &gap):
			fmt.Println("reports are lost") // another call of Messages goes on
		case err != nil:
			fmt.Println(err)
		default:
			fmt.Println(m.Name, m.Payload.Text())
		}
		if n++; n == 3 {
			break
		}
	}
	// Output:
	// report it rains
	// report it pours
	// report the sun is out
}
