// Command echo is a small WebWire program: a server that answers each request with its
// payload and each signal with a signal, and a client that tries both. The client also
// cancels a request, leaves a stream early and answers a request of the server.
//
//	go run ./examples/echo                          both, in one process, over a real WebSocket
//	go run ./examples/echo server -addr :8080       the server alone, until it is interrupted
//	go run ./examples/echo client -addr host:8080   the client alone
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	half := ""
	if len(args) > 0 && (args[0] == "server" || args[0] == "client") {
		half, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("echo", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:0", "TCP address to listen at, or to connect to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q: want server, client or none", flags.Arg(0))
	}
	switch half {
	case "server":
		return serve(ctx, *addr, out, nil)
	case "client":
		return try(ctx, *addr, out)
	}
	return both(ctx, *addr, out)
}

// both runs the server and the client in this process.
func both(ctx context.Context, addr string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	listening := make(chan string, 1)
	served := make(chan error, 1)
	serverCtx, shutdown := context.WithCancel(ctx)
	defer shutdown()
	go func() { served <- serve(serverCtx, addr, out, listening) }()
	select {
	case addr = <-listening:
	case err := <-served:
		return err
	}
	if err := try(ctx, addr, out); err != nil {
		return err
	}
	shutdown()
	return <-served
}
