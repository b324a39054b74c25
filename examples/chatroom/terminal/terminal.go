// Package terminal is the chatroom's client for terminals. It sends the lines that are
// typed, prints the messages of others, and reconnects.
package terminal

import (
	"bufio"
	"context"
	"errors"
	"io"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/transport"
)

// Options configures Run.
type Options struct {
	Dialer transport.Dialer // of the server
	Name   string           // the user's
	Room   string           // the first one

	// Keys keeps the session, and so the name, while the program does not run.
	// Nil: the session ends with the program.
	Keys client.KeyStore
}

// Run runs until the input ends, /quit is typed or ctx ends. Unless ctx ends, it sends
// what was typed before it returns.
func Run(ctx context.Context, opts Options, in io.Reader, out io.Writer) error {
	t := newTalk(opts, out)
	defer t.client.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := t.enter(ctx, opts.Room)
	if err == nil {
		t.show.notice("You are %s, in %s. Type a message, or /help.", t.name, t.current())
		lines := make(chan string, 1024)
		go read(ctx, in, lines) // reading a terminal cannot be interrupted: it ends with the program
		err = t.run(ctx, lines)
	}
	if err == nil || errors.Is(err, ctx.Err()) {
		return t.leave(ctx, opts.Keys == nil)
	}
	return err
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
