// Package terminal is the chatroom's client for terminals: lines that are typed
// are said, what others say is printed, and a lost connection is made again.
package terminal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/examples/chatroom/chat"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/websocket"
)

// Options says who talks where.
type Options struct {
	URL  string // of the server's WebSocket
	Name string
	Room string // the first one

	// KeyFile is where the session is kept, so that the name belongs to its user
	// until /quit. Empty: nowhere, and it ends with the program.
	KeyFile string

	// Dialer connects. Nil: a websocket.Dialer of the URL.
	Dialer transport.Dialer
}

// Run talks until the input ends, /quit is typed or ctx ends. What was typed
// before is sent first, unless ctx ends.
func Run(ctx context.Context, opts Options, in io.Reader, out io.Writer) error {
	t := newTalk(opts, out)
	defer t.client.Close()
	if err := t.client.Connect(ctx); err != nil {
		return ended(ctx, err)
	}
	if err := t.enter(ctx); err != nil {
		return ended(ctx, err)
	}
	t.print("You are %s. Type to talk; /help tells what else there is.", t.name)

	lines := make(chan string)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go read(ctx, in, lines) // reading a terminal cannot be interrupted: it ends with the program

	for line := range lines {
		quit, err := t.line(ctx, line)
		if err != nil {
			return ended(ctx, err)
		}
		if quit {
			return ended(ctx, t.signOut(ctx))
		}
	}
	if opts.KeyFile == "" {
		return ended(ctx, t.signOut(ctx))
	}
	return nil
}

// read passes on lines until the input or ctx ends.
func read(ctx context.Context, in io.Reader, lines chan<- string) {
	defer close(lines)
	for scanner := bufio.NewScanner(in); scanner.Scan(); {
		select {
		case lines <- scanner.Text():
		case <-ctx.Done():
			return
		}
	}
}

// ended makes an end that the user wanted no error.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}
