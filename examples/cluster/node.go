package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"time"

	"github.com/webwire-go/webwire/client/js"
	natsengine "github.com/webwire-go/webwire/engine/nats"
)

// nodeCommand is the argument by which this program is a node.
const nodeCommand = "node"

//go:embed web
var web embed.FS

// status is what a node tells about itself at /status.
type status struct {
	Open   int // connections
	Topics int
	Errors uint64 // of the engine
}

// runNode is the process of a node. It writes its address to out, and serves until stdin
// ends: then it shuts down. So it does not outlive the process that started it.
func runNode(args []string, stdin io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet(nodeCommand, flag.ContinueOnError)
	name := flags.String("name", "1", "of the node")
	nats := flags.String("nats", "", "URLs of the NATS servers")
	addr := flags.String("addr", "127.0.0.1:0", "where to listen")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx := context.Background()
	chat := newChat(*name, natsengine.New(natsengine.Options{
		URL: *nats,
		App: "chat", // as in deploy/nats
		Classes: []natsengine.Class{
			{Name: "recent", History: 1000, MaxAge: time.Hour, MaxBytes: 64 << 20},
		},
	}))
	if err := chat.OpenEngine(ctx); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		return errors.Join(err, chat.Close())
	}
	page, err := fs.Sub(web, "web")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", chat)
	mux.Handle("/", http.FileServerFS(page))
	mux.Handle("/webwire/", http.StripPrefix("/webwire/", http.FileServerFS(js.Source())))
	mux.HandleFunc("/status", func(w http.ResponseWriter, _ *http.Request) {
		s := chat.Stats()
		_ = json.NewEncoder(w).Encode(status{s.Open, s.Topics, s.EngineErrors}) // whoever asked has left
	})
	httpServer := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- httpServer.Serve(ln) }()
	fmt.Fprintln(out, ln.Addr())

	_, _ = io.Copy(io.Discard, stdin)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = errors.Join(chat.Shutdown(ctx), httpServer.Shutdown(ctx))
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}
