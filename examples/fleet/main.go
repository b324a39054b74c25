// Command fleet is a server for devices that come and go, and both of its clients.
//
//	go run ./examples/fleet server -addr :8080              until it is interrupted
//	go run ./examples/fleet device -addr host:8080 pump     a device: it is sent notes, and carries out orders
//	go run ./examples/fleet order -addr host:8080 pump spin asks the device, and prints its answer
//	go run ./examples/fleet note -addr host:8080 pump text  reaches the device when it is back, if it is away
//	go run ./examples/fleet online -addr host:8080          prints which devices are connected
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/transport/websocket"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("usage: fleet server, device NAME, order NAME WORDS, note NAME WORDS, or online")
	}
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "TCP address to listen at, or to connect to")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	dialer := &websocket.Dialer{URL: "ws://" + *addr}
	switch what, n := args[0], flags.NArg(); {
	case what == "server" && n == 0:
		return serve(ctx, *addr, out)
	case what == "device" && n == 1:
		return (&device{name: flags.Arg(0), out: out}).run(ctx, dialer, nil)
	case (what == "order" || what == "note") && n >= 2, what == "online" && n == 0:
		c := client.New(dialer, client.Options{})
		defer c.Close()
		m := message{Device: flags.Arg(0), Text: strings.Join(flags.Args()[min(n, 1):], " ")}
		answer, err := client.Call[string](ctx, c, what, m)
		if err == nil {
			fmt.Fprintln(out, answer)
		}
		return err
	}
	return fmt.Errorf("%s: wrong arguments", args[0])
}
