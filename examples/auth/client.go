package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport/websocket"
)

// device is a client of one user. It keeps the key of its session in a file.
type device struct {
	*client.Client
	name   string
	closed chan struct{} // receives when the session was closed elsewhere
}

func newDevice(addr, name, keyFile string) *device {
	d := &device{name: name, closed: make(chan struct{}, 16)}
	d.Client = client.New(&websocket.Dialer{URL: "ws://" + addr}, client.Options{
		Keys: client.KeyFile(keyFile),
		Hooks: client.Hooks{
			OnSessionClosed: func(context.Context) { d.closed <- struct{}{} },
		},
	})
	return d
}

// signedIn returns the user of the device, as far as the client knows.
func (d *device) signedIn() (identity, bool) {
	s, ok := d.Session()
	if !ok {
		return identity{}, false
	}
	who, err := session.InfoAs[identity](s)
	return who, err == nil
}

func (d *device) login(ctx context.Context, how, user, password string) (identity, error) {
	return client.Call[identity](ctx, d.Client, how, credentials{identity{user, d.name}, password})
}

func (d *device) whoami(ctx context.Context) (identity, error) {
	return client.Call[identity](ctx, d.Client, "whoami", struct{}{})
}

func (d *device) devices(ctx context.Context) ([]string, error) {
	return client.Call[[]string](ctx, d.Client, "devices", struct{}{})
}

func (d *device) logout(ctx context.Context) error {
	_, err := client.Call[struct{}](ctx, d.Client, "logout", struct{}{})
	return err
}

const help = `register PASSWORD   become a user
login PASSWORD      sign in
whoami              who the server thinks you are
devices             where you are signed in
logout              sign out on all devices
quit                leave; the next start needs no password`

// prompt runs commands that the user types.
func prompt(ctx context.Context, addr, user, keyFile string, in io.Reader, out io.Writer) error {
	name, err := os.Hostname()
	if err != nil {
		name = "somewhere"
	}
	d := newDevice(addr, fmt.Sprintf("%s (%d)", name, os.Getpid()), keyFile)
	defer d.Close()
	if err := d.Connect(ctx); err != nil {
		return err
	}
	if who, ok := d.signedIn(); ok {
		fmt.Fprintf(out, "welcome back, %s\n", who.User)
	}
	fmt.Fprintln(out, help)

	lines := make(chan string)
	go read(ctx, in, lines)
	for {
		fmt.Fprint(out, "> ")
		select {
		case <-d.closed:
			fmt.Fprintln(out, "you are signed out")
		case line, ok := <-lines:
			command, argument, _ := strings.Cut(strings.TrimSpace(line), " ")
			if !ok || command == "quit" {
				return nil
			}
			if answer, err := d.do(ctx, command, user, argument); err != nil {
				fmt.Fprintln(out, err)
			} else {
				fmt.Fprintln(out, answer)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// read sends the lines of in to lines, until the input or ctx ends.
func read(ctx context.Context, in io.Reader, lines chan<- string) {
	defer close(lines)
	for input := bufio.NewReader(in); ; {
		line, err := input.ReadString('\n')
		if err != nil && line == "" {
			return
		}
		select {
		case lines <- line:
		case <-ctx.Done():
			return
		}
	}
}

func (d *device) do(ctx context.Context, command, user, argument string) (any, error) {
	switch command {
	case "register", "login":
		who, err := d.login(ctx, command, user, argument)
		return "you are " + who.User, err
	case "whoami":
		who, err := d.whoami(ctx)
		return who.User, err
	case "devices":
		names, err := d.devices(ctx)
		return strings.Join(names, "\n"), err
	case "logout":
		return "", d.logout(ctx)
	}
	return help, nil
}
