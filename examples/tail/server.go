package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

// begin is how many of the last bytes of the file a stream begins with.
const begin = 1 << 10

// serve serves the file until quit ends.
func serve(quit context.Context, addr, name string, out io.Writer) error {
	var mux server.Mux
	mux.Stream("tail", func(ctx context.Context, r *server.Request, send func(protocol.Payload) error) error {
		fmt.Fprintln(out, "a client follows the file")
		err := follow(ctx, quit, name, send)
		fmt.Fprintln(out, "a stream has ended:", err)
		return err
	})
	srv := server.New(server.Options{Upgrader: &websocket.Upgrader{}, Handler: &mux})
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening at ws://%s\n", ln.Addr())
	return srv.Run(quit, ln, nil) // quit also ends the streams: a shutdown waits for them
}

// follow sends the end of a file, and then what is appended to it.
func follow(ctx, quit context.Context, name string, send func(protocol.Payload) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := f.Seek(max(0, size-begin), io.SeekStart); err != nil {
		return err
	}
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	buf := make([]byte, 16<<10)
	for {
		n, err := f.Read(buf)
		switch {
		case n > 0:
			err = send(protocol.Bytes(buf[:n]))
		case err == io.EOF:
			select {
			case <-look.C:
				err = nil
			case <-ctx.Done():
				err = context.Cause(ctx)
			case <-quit.Done():
				err = protocol.ErrShutdown
			}
		}
		if err != nil {
			return err
		}
	}
}
