package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"

	"github.com/webwire-go/webwire/examples/chatroom/chat"
	"github.com/webwire-go/webwire/transport/websocket"
)

// serve runs the server until ctx ends, then shuts it down gracefully. It sends
// the address it listens at to listening, if that is not nil.
func serve(ctx context.Context, addr, data string, out io.Writer, listening chan<- string) (err error) {
	ln, err := net.Listen("tcp", addr) // before the files: another server that uses them may have the port
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use by another program; choose another address with -addr", addr)
	}
	if err != nil {
		return err
	}
	defer ln.Close() // if serve returns before web.Serve closes it

	room, err := chat.Open(data, chat.Options{Upgrader: &websocket.Upgrader{}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, room.Close()) }()

	mux := http.NewServeMux()
	mux.Handle("/ws", room.Server)
	mux.Handle("/", page())
	fmt.Fprintf(out, "chatroom: http://%s   files in %s   ctrl-C ends it\n", shown(ln.Addr()), data)
	if listening != nil {
		listening <- ln.Addr().String()
	}
	return room.Server.Run(ctx, ln, mux)
}

// shown returns an address for a browser on this machine.
func shown(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if ok && (tcp.IP.IsUnspecified() || tcp.IP.IsLoopback()) {
		return net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
	}
	return addr.String()
}
