// Command auth shows how users sign in with a password once and stay signed in until
// they sign out on all devices: after a lost connection, a restart of their program and
// a restart of the server.
//
//	go run ./examples/auth                          plays a scene, over real WebSockets
//	go run ./examples/auth server -addr :8080       the server alone, until it is interrupted
//	go run ./examples/auth client -addr host:8080 -user ann
//
// The server keeps sessions in files, and hashed passwords in memory: when the server
// alone ends, its users are lost. The client keeps the key of its session in a file. A
// real server keeps its users in a database and is reached only by wss://.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "auth:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	half := ""
	if len(args) > 0 && (args[0] == "server" || args[0] == "client") {
		half, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("auth", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "TCP address to listen at, or to connect to")
	sessions := flags.String("sessions", filepath.Join(os.TempDir(), "webwire-auth-sessions"), "server: directory for sessions")
	user := flags.String("user", "", "client: name of the user")
	key := flags.String("key", "", "client: file for the key of the session; default: webwire-auth-USER.key in the configuration directory")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q: want server, client or none", flags.Arg(0))
	}
	switch half {
	case "server":
		s, err := start(*addr, *sessions, &users{})
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "listening at ws://%s\n", s.addr)
		<-ctx.Done()
		return s.stop(context.WithoutCancel(ctx))
	case "client":
		if *user == "" {
			return fmt.Errorf("-user is missing")
		}
		if *key == "" {
			dir, err := os.UserConfigDir()
			if err != nil {
				return err
			}
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
			*key = filepath.Join(dir, "webwire-auth-"+filepath.Base(*user)+".key")
		}
		return prompt(ctx, *addr, *user, *key, in, out)
	}
	return scene(ctx, "127.0.0.1:0", out)
}
