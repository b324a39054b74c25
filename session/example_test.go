package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/webwire-go/webwire/session"
)

func Example() {
	ctx := context.Background()
	store := &session.MemoryStore{MaxAge: 24 * time.Hour}

	key := session.NewKey()
	err := store.Save(ctx, session.Session{
		Key:     key,
		Created: time.Now(),
		Info:    json.RawMessage(`{"user":"ada"}`),
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	s, err := store.Load(ctx, key)
	if err != nil {
		fmt.Println(err)
		return
	}
	info, err := session.InfoAs[struct{ User string }](s)
	fmt.Println(info.User, err)

	_, err = store.Load(ctx, "a key that no server made")
	fmt.Println(err, errors.Is(err, session.ErrNotFound))
	// Output:
	// ada <nil>
	// session: not found true
}

// A session prints as a fingerprint of its key, wherever it is.
func ExampleSession_String() {
	s := session.Session{Key: "secret"}
	fmt.Println(s)
	fmt.Printf("%+v\n", []session.Session{s})
	fmt.Printf("%#v\n", &s)
	// Output:
	// session 2bb80d537b1da3e3
	// [session 2bb80d537b1da3e3]
	// protocol.Session{/* session 2bb80d537b1da3e3 */}
}

func ExampleSession_LogValue() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	log.Info("restored", "session", session.Session{
		Key:     "secret",
		Created: time.Date(2018, 3, 24, 0, 3, 41, 0, time.UTC),
	})
	// Output:
	// level=INFO msg=restored session.id=2bb80d537b1da3e3 session.created=2018-03-24T00:03:41.000Z
}

func ExampleInfoAs() {
	type cart struct{ Items []string }
	s := session.Session{Info: json.RawMessage(`{"items":["tea","cups"]}`)}
	c, err := session.InfoAs[cart](s)
	fmt.Println(c.Items, err)
	// Output:
	// [tea cups] <nil>
}

func ExampleOpenFileStore() {
	dir, err := os.MkdirTemp("", "sessions")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	ctx := context.Background()
	key := session.NewKey()
	for range 2 { // the second time the session is there
		store, err := session.OpenFileStore(dir, session.FileStoreOptions{MaxAge: 30 * 24 * time.Hour})
		if err != nil {
			fmt.Println(err)
			return
		}
		s, err := store.Load(ctx, key)
		fmt.Println(string(s.Info), err)
		if errors.Is(err, session.ErrNotFound) {
			s = session.Session{Key: key, Created: time.Now(), Info: json.RawMessage(`"hello again"`)}
			if err := store.Save(ctx, s); err != nil {
				fmt.Println(err)
			}
		}
		store.Close()
	}
	// Output:
	// session: not found
	// "hello again" <nil>
}
