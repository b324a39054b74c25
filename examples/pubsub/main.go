// Command pubsub is a server with topics: clients publish and subscribe.
//
//	go run ./examples/pubsub                                        plays a scene, over real WebSockets
//	go run ./examples/pubsub server -addr :8080                     until it is interrupted
//	go run ./examples/pubsub subscribe -addr host:8080 news sport   prints what comes; with -all, what is kept first
//	go run ./examples/pubsub publish -addr host:8080 news it rains  or lines from the standard input
//
// The scene shows that a slow subscriber does not delay the others: later it reads what has
// waited for it, learns that the rest is lost, and goes on with what the topic has kept.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "pubsub:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	part := ""
	if len(args) > 0 && slices.Contains([]string{"server", "subscribe", "publish"}, args[0]) {
		part, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("pubsub", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "TCP address to listen at, or to connect to")
	all := flags.Bool("all", false, "subscribe: begin with the messages that the server has kept")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch part {
	case "subscribe":
		return subscribeTo(ctx, *addr, flags.Args(), *all, out)
	case "publish":
		return publishLines(ctx, *addr, flags.Args(), in, out)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q: want server, subscribe, publish or none", flags.Arg(0))
	}
	if part == "" {
		return scene(ctx, out)
	}
	s, err := start(*addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening at ws://%s\n", s.addr)
	<-ctx.Done()
	return s.stop(context.WithoutCancel(ctx))
}
