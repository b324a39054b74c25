// Command contractserver is the contract server for clients of any
// implementation.
//
//	go run ./internal/check/interop/contractserver --addr 127.0.0.1:0 --version 1.2
//
// It prints "LISTENING host:port" once it listens, and runs until it is
// interrupted or asked to shut down.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/webwire-go/webwire/internal/check/interop"
	"github.com/webwire-go/webwire/protocol"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "contractserver:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("contractserver", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:0", "TCP address to listen at")
	version := flags.String("version", "1.2", "version of the protocol: 1.2, 1.3, 1.4, 1.5, 2.0 or 3.0")
	sessions := true
	flags.Func("sessions", "enable sessions, `true` or false; true if it is not given", func(text string) (err error) {
		sessions, err = strconv.ParseBool(text)
		return err
	})
	maxConns := flags.Int("max-session-conns", 0, "connections that one session may have; 0: any number")
	readTimeout := flags.Int("read-timeout-ms", 0, "silence in milliseconds after which a connection is closed; 0: the default")
	concurrency := flags.Int("concurrency", 0, "requests of one connection handled at once; 0: the default")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	v, err := protocol.ParseVersion(*version)
	if err != nil {
		return err
	}
	s, err := interop.Start(interop.Options{
		Addr:            *addr,
		Version:         v,
		DisableSessions: !sessions,
		MaxSessionConns: *maxConns,
		ReadTimeout:     time.Duration(*readTimeout) * time.Millisecond,
		Concurrency:     *concurrency,
	})
	if err != nil {
		return err
	}
	defer s.Close()
	fmt.Fprintln(out, "LISTENING", s.Addr())
	select {
	case <-ctx.Done():
	case <-s.Done():
	}
	return nil
}
