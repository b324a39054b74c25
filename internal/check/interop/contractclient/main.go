// Command contractclient tries everything that the contract asks of a server.
//
//	go run ./internal/check/interop/contractclient --addr 127.0.0.1:8080 --version 1.2
//
// It prints a line for each step that begins with PASS, FAIL or SKIP, and a summary.
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

	"github.com/webwire-go/webwire/internal/check/interop"
	"github.com/webwire-go/webwire/protocol"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "contractclient:", err)
		os.Exit(1)
	}
}

var errFailed = errors.New("the server does not keep the contract")

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("contractclient", flag.ContinueOnError)
	addr := flags.String("addr", "", "address of the contract server")
	version := flags.String("version", "1.2", "version of the protocol: 1.2, 1.3, 1.4, 1.5, 2.0 or 3.0")
	silent := flags.Bool("no-offer", false, "offer no protocol token, as the published clients")
	network := flags.String("network", "websocket", "websocket, or stream for TCP without HTTP")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *addr == "" || flags.NArg() > 0 {
		return errors.New("want --addr host:port, and no other arguments")
	}
	v, err := protocol.ParseVersion(*version)
	if err != nil {
		return err
	}
	target := interop.Target{Addr: *addr, Version: v}
	switch *network {
	case "websocket":
		target.Network = interop.WebSocket{Silent: *silent}
	case "stream":
		target.Network = interop.Stream{}
	default:
		return fmt.Errorf("unknown network %q", *network)
	}
	passed, failed := interop.RunContract(ctx, target, func(r interop.Result) {
		switch {
		case r.Skipped != "":
			fmt.Fprintf(out, "SKIP %s: %s\n", r.Step, r.Skipped)
		case r.Err != nil:
			fmt.Fprintf(out, "FAIL %s: %v\n", r.Step, r.Err)
		default:
			fmt.Fprintf(out, "PASS %s\n", r.Step)
		}
	})
	fmt.Fprintf(out, "passed=%d failed=%d\n", passed, failed)
	if failed > 0 {
		return errFailed
	}
	return nil
}
