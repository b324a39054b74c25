// Command tail follows a file on a server, as a stream over a WebSocket.
//
//	go run ./examples/tail server -addr :8080 FILE        serves the file until it is interrupted
//	go run ./examples/tail -addr host:8080                prints its last KiB and what is appended
//
// An interrupt of the client leaves the stream, which ends its handler. The server reads
// the file once for each stream, as fast as the client takes it: a slow client delays
// only itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport/websocket"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "tail:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	serves := len(args) > 0 && args[0] == "server"
	if serves {
		args = args[1:]
	}
	flags := flag.NewFlagSet("tail", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "TCP address to listen at, or to connect to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case serves && flags.NArg() == 1:
		return serve(ctx, *addr, flags.Arg(0), out)
	case !serves && flags.NArg() == 0:
		return tail(ctx, *addr, out)
	}
	return errors.New("usage: tail server FILE, or tail")
}

// tail prints what is appended to the file until ctx ends.
func tail(ctx context.Context, addr string, out io.Writer) error {
	c := client.New(&websocket.Dialer{URL: "ws://" + addr}, client.Options{
		Versions: []protocol.Version{protocol.V3_0},
	})
	defer c.Close()
	for item, err := range c.Stream(ctx, "tail", protocol.Payload{}) {
		if err == nil {
			_, err = out.Write(item.Data)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}
