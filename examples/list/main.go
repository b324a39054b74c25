// Command list is a list that people edit together, after a login, in a browser. What they edit
// while they are offline is merged when they are back.
//
//	go run ./examples/list -password secret     http://localhost:8080
package main

import (
	"context"
	"crypto/subtle"
	"embed"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/webwire-go/webwire/client/js"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport/websocket"
)

//go:embed page
var files embed.FS

var (
	errSignedOut = &protocol.Error{Code: "SIGNED_OUT", Message: "sign in first"}
	errWrong     = &protocol.Error{Code: "WRONG", Message: "wrong name or password"}
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "list:", err)
		os.Exit(1)
	}
}

// newServer returns the server of a list for those who know the password.
func newServer(l *list, password string, sessions session.Store) *server.Server {
	var mux server.Mux
	srv := server.New(server.Options{Upgrader: &websocket.Upgrader{}, Sessions: sessions, Handler: &mux})
	type login struct{ Name, Password string }
	mux.Request("login", server.JSON(func(ctx context.Context, r *server.Request, in login) (any, error) {
		name := strings.TrimSpace(in.Name)
		if name == "" || len(name) > 40 || subtle.ConstantTimeCompare([]byte(in.Password), []byte(password)) != 1 {
			return nil, errWrong
		}
		_, err := r.Conn.CreateSession(ctx, login{Name: name})
		return nil, err
	}))
	user := func(c *server.Conn) (string, error) {
		s, ok := c.Session()
		if !ok {
			return "", errSignedOut
		}
		in, err := session.InfoAs[login](s)
		return in.Name, err
	}
	mux.Request("list", server.JSON(func(_ context.Context, r *server.Request, _ any) (state, error) {
		if _, err := user(r.Conn); err != nil {
			return state{}, err
		}
		return l.state(), nil
	}))
	mux.Request("edit", server.JSON(func(_ context.Context, r *server.Request, e edit) (any, error) {
		name, err := user(r.Conn)
		if err != nil {
			return nil, err
		}
		return nil, l.apply(e, name, func(it item) error { // in the order of the edits
			p, err := protocol.JSON(it)
			if err == nil {
				_, err = server.Broadcast(func(yield func(*server.Conn) bool) {
					for c := range srv.Conns() {
						if _, ok := c.Session(); ok && !yield(c) {
							return
						}
					}
				}, "item", p)
			}
			return err
		})
	}))
	return srv
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("list", flag.ContinueOnError)
	addr := flags.String("addr", "localhost:8080", "TCP address to listen at")
	password := flags.String("password", "list", "what everybody signs in with")
	if err := flags.Parse(args); err != nil {
		return err
	}
	page, err := fs.Sub(files, "page")
	if err != nil {
		return err
	}
	srv := newServer(new(list), *password, nil)
	mux := http.NewServeMux()
	mux.Handle("/api", srv)
	mux.Handle("/", http.FileServerFS(page))
	mux.Handle("/webwire/", http.StripPrefix("/webwire/", http.FileServerFS(js.Source())))
	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening at http://%s/\n", ln.Addr())
	return srv.Run(ctx, ln, mux)
}
