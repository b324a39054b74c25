package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/examples/chatroom/terminal"
	"github.com/webwire-go/webwire/transport/websocket"
)

// talk runs the client for terminals.
func talk(ctx context.Context, addr, session string, opts terminal.Options, in io.Reader, out io.Writer) error {
	if opts.Name == "" {
		return fmt.Errorf("-name is missing")
	}
	url := endpoint(addr)
	if session == "" {
		var err error
		if session, err = sessionFile(url, opts.Name); err != nil {
			return err
		}
	}
	opts.Dialer, opts.Keys = &websocket.Dialer{URL: url}, client.KeyFile(session)
	return terminal.Run(ctx, opts, in, out)
}

// endpoint returns the URL of the WebSocket for an address.
func endpoint(addr string) string {
	if strings.Contains(addr, "://") {
		return addr
	}
	if strings.HasPrefix(addr, ":") {
		addr = "localhost" + addr
	}
	return "ws://" + addr + "/ws"
}

// sessionFile returns the path of the file for the session of a user.
func sessionFile(url, name string) (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("%w; name a file for the session with -session", err)
	}
	dir = filepath.Join(dir, "webwire-chatroom")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return filepath.Join(dir, fmt.Sprintf("%x", sha256.Sum256([]byte(url+" "+name)))[:32]), nil
}
