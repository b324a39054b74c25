// Command list is a list that people edit together, after a login, in a browser. What they edit
// while they are offline is merged when they are back.
//
//	go run ./examples/list -password secret     http://localhost:8080
package main

import (
	"context"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/webwire-go/webwire/client/js"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport/websocket"
)

//go:embed page
var files embed.FS

func main() {
	addr := flag.String("addr", "localhost:8080", "TCP address to listen at")
	password := flag.String("password", "list", "what everybody signs in with")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening at http://%s/\n", ln.Addr())
	srv := newServer(*password)
	mux := http.NewServeMux()
	mux.Handle("/api", srv)
	mux.Handle("/", js.Handler(files, "page"))
	if err := srv.Run(ctx, ln, mux); err != nil {
		log.Fatal(err)
	}
}

type login struct{ Name, Password string }

// edit sets fields of an item, removes it, or makes it. The list is what its edits make of it, one
// after the other: pages do that, and all come to the same list. Edits of one item at the same time
// merge by field; of two that set the same field the later one at the server counts.
type edit struct {
	ID, Item, By string
	Set          json.RawMessage // the fields Text and Done
	Gone         bool
}

// newServer returns the server of a list for those who know the password. It is in memory only, and
// as long as the topic keeps its edits: a list that is edited more often needs a snapshot as well.
func newServer(password string) *server.Server {
	var mux server.Mux
	srv := server.New(server.Options{
		Upgrader:       &websocket.Upgrader{},
		MaxMessageSize: 4 << 10,
		Handler:        &mux,
		Engine:         (&engine.Memory{History: 10_000}).Node(),
		Topics:         func(string) server.TopicOptions { return server.TopicOptions{History: true} },
		Hooks:          server.Hooks{OnSubscribe: func(_ context.Context, c *server.Conn, _ string) (any, error) { return user(c) }},
	})
	mux.Request("login", server.JSON(func(ctx context.Context, r *server.Request, in login) (any, error) {
		if in.Name == "" || len(in.Name) > 40 || subtle.ConstantTimeCompare([]byte(in.Password), []byte(password)) != 1 {
			return nil, &protocol.Error{Code: "WRONG", Message: "wrong name or password"}
		}
		_, err := r.Conn.CreateSession(ctx, login{Name: in.Name})
		return nil, err
	}))
	mux.Request("edit", server.JSON(func(ctx context.Context, r *server.Request, e edit) (_ any, err error) {
		if e.By, err = user(r.Conn); err != nil {
			return nil, err
		}
		p, err := protocol.JSON(e)
		if err == nil {
			_, err = srv.Topic("list").Publish(ctx, "edit", p)
		}
		return nil, err
	}))
	return srv
}

// user returns the name of who has signed in.
func user(c *server.Conn) (string, error) {
	s, ok := c.Session()
	if !ok {
		return "", &protocol.Error{Code: "SIGNED_OUT", Message: "sign in first"}
	}
	in, err := session.InfoAs[login](s)
	return in.Name, err
}
