// Command chatroom is a chat with rooms, for browsers and terminals:
//
//	go run ./examples/chatroom                        the server, at http://localhost:8080
//	go run ./examples/chatroom server -addr :8080 -data chatroom-data
//	go run ./examples/chatroom client -addr localhost:8080 -name Ada -room lobby
//
// The server keeps sessions, names and messages in files in the directory -data. Users
// stay signed in when it is restarted, even after a kill -9.
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

	"github.com/webwire-go/webwire/examples/chatroom/terminal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "chatroom:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	part := "server"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		part, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("chatroom "+part, flag.ContinueOnError)
	switch part {
	case "server":
		addr := flags.String("addr", "localhost:8080", "TCP `address` to listen at; :8080 accepts other machines, too")
		data := flags.String("data", "chatroom-data", "`directory` of sessions and messages, created if it does not exist")
		if err := parse(flags, args); err != nil {
			return err
		}
		return serve(ctx, *addr, *data, out, nil)
	case "client":
		addr := flags.String("addr", "localhost:8080", "`address` of the server, or its URL: wss://host/ws")
		name := flags.String("name", os.Getenv("USER"), "your name in the chat")
		room := flags.String("room", "lobby", "the room to begin in")
		session := flags.String("session", "", "`file` to keep the session in, so that the name stays yours until /quit (default: one in your configuration directory)")
		if err := parse(flags, args); err != nil {
			return err
		}
		return talk(ctx, *addr, *session, terminal.Options{Name: *name, Room: *room}, in, out)
	}
	return fmt.Errorf("unknown command %q: want server or client", part)
}

func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	return nil
}
