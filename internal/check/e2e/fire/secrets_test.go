package fire_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
)

// claimed opens a socket with a claim to a connection and returns the server's answer.
func claimed(t *testing.T, addr string, resume *protocol.Resume) (transport.Conn, protocol.WelcomeBody) {
	t.Helper()
	conn, w := claim(t, addr, resume)
	t.Cleanup(func() { conn.Abort() })
	return conn, w
}

// claim is claimed for those who end the connection.
func claim(t *testing.T, addr string, resume *protocol.Resume) (transport.Conn, protocol.WelcomeBody) {
	t.Helper()
	conn, err := dialSilent(addr, protocol.V3_0)
	if err != nil {
		t.Fatal(err)
	}
	return conn, greet(t, conn, resume)
}

// greet says hello and returns the welcome.
func greet(t *testing.T, conn transport.Conn, resume *protocol.Resume) protocol.WelcomeBody {
	t.Helper()
	hello := protocol.HelloBody{MessageSize: 1 << 20, StreamCredit: 64 << 10, Requests: 1, Resume: resume}
	if err := conn.Write(encode(hello.Message())); err != nil {
		t.Fatal(err)
	}
	for {
		b, err := conn.Read(nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := protocol.V3_0.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if m.Kind == protocol.Welcome {
			w, err := m.Welcome()
			if err != nil {
				t.Fatal(err)
			}
			return w
		}
	}
}

// The secret of a connection that lost its socket cannot be guessed, replayed, or used
// after it was changed.
func TestResumeSecrets(t *testing.T) {
	guesses := load.Either(1000, 50)
	srv := load.Start(t, server.Options{Hooks: server.Hooks{OnRequest: echo}}, load.Site{})
	conn, first := claimed(t, srv.Addr, nil)
	if first.Outcome != protocol.OutcomeFresh || first.Secret == (protocol.Secret{}) {
		t.Fatalf("%+v", first)
	}
	_ = conn.Abort()
	if !load.Await(func() bool { return srv.Stats().Away == 1 }) {
		t.Fatal("the connection is not away")
	}
	claim := func(s protocol.Secret, attempt uint32) *protocol.Resume {
		return &protocol.Resume{Conn: first.Conn, Secret: s, Attempt: attempt, FirstKept: 1}
	}
	refused := 0
	refuse := func(what string, c *protocol.Resume) {
		t.Helper()
		conn, w := claimed(t, srv.Addr, c)
		_ = conn.Close(transport.StatusNormalClosure, "")
		if w.Outcome == protocol.OutcomeResumed || w.Outcome == protocol.OutcomeGap || w.Conn == first.Conn {
			t.Errorf("%s: %v", what, w.Outcome)
			return
		}
		refused++
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range guesses {
		guess := first.Secret
		guess[rng.IntN(len(guess))] ^= byte(1 + rng.IntN(255)) // nearly right
		refuse("a guess", claim(guess, 1))
	}
	refuse("no secret", claim(protocol.Secret{}, 1))
	other := claim(first.Secret, 1)
	other.Conn[3] ^= 1
	refuse("another connection", other)

	conn, second := claimed(t, srv.Addr, claim(first.Secret, 1))
	if second.Outcome != protocol.OutcomeResumed || second.Secret == first.Secret {
		t.Fatalf("the owner: %v", second.Outcome)
	}
	// It has shown that it has the new secret's welcome by sending something.
	if err := conn.Write(encode(protocol.Message{Kind: protocol.Request, ID: protocol.NewID(1), Name: "echo", Payload: protocol.Text("x")})); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(nil); err != nil {
		t.Fatal(err)
	}
	refuse("replayed", claim(first.Secret, 1))
	refuse("stolen before it changed", claim(first.Secret, 2))
	refuse("an attempt that was made", claim(second.Secret, 1))
	load.Figure("resume secrets", "all refused, constant time", "%d claims refused: guessed, replayed, stolen after rotation; compared by crypto/subtle", refused)
	if refused != guesses+5 {
		t.Errorf("%d of %d claims were refused", refused, guesses+5)
	}
	for _, secret := range []protocol.Secret{first.Secret, second.Secret} {
		wantNothing(t, &srv.Log, string(secret[:]), hex.EncodeToString(secret[:]), base64.StdEncoding.EncodeToString(secret[:]))
	}
}

// Hostile session keys find nothing, touch nothing outside the store, and five of them end
// the connection.
func TestHostileSessionKeys(t *testing.T) {
	count := load.Either(1000, 50)
	outside := t.TempDir()
	dir := filepath.Join(outside, "store")
	store, err := session.OpenFileStore(dir, session.FileStoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	canary := filepath.Join(outside, "canary")
	if err := os.WriteFile(canary, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	srv := load.Start(t, server.Options{ResumeWindow: -1, Sessions: store, Hooks: server.Hooks{
		OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			s, err := r.Conn.CreateSession(ctx, nil)
			return protocol.Text(s.Key), err
		},
		OnClientDisconnected: func(_ *server.Conn, reason error) { ended <- reason },
	}}, load.Site{})
	c := load.NewClient(srv.Addr, client.Options{})
	key, err := c.Request(t.Context(), "login", protocol.Text("x"))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	<-ended
	before := files(t, outside)

	good := key.Text()
	rng := rand.New(rand.NewPCG(1, 2))
	keys := []string{
		"", " ", ".", "..", "/", "../canary", "../../canary", "..\\canary", "/etc/passwd", "con", "nul", "\x00", "a\x00b", "%2e%2e%2fcanary",
		canary, "store", "*", "?", good + "\x00", good + "/", "./" + good, strings.ToUpper(good), good[1:], good + "A", " " + good, good + "\n",
		strings.Repeat("a", 1<<10), strings.Repeat("../", 1000) + "etc/passwd", "🙂", "ａ", "'; DROP TABLE sessions; --",
	}
	for len(keys) < count {
		b := make([]byte, rng.IntN(64))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		keys = append(keys, string(b))
	}
	refused, connections := 0, 0
	for len(keys) > 0 {
		connections++
		conn := mustDial(t, srv.Addr, protocol.V2_0)
		n := min(5, len(keys))
		for i, key := range keys[:n] {
			m := protocol.Message{Kind: protocol.RestoreSession, ID: protocol.NewID(uint64(i + 1)), Payload: protocol.Text(key)}
			b, err := protocol.V2_0.Append(nil, m)
			if err != nil { // the protocol has no such key
				m.Payload = protocol.Text("x")
				b = encodeAs(protocol.V2_0, m)
			}
			if err := conn.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		keys = keys[n:]
		replies := 0
		for replies < n {
			b, err := conn.Read(nil)
			if err != nil {
				t.Fatalf("after %d replies: %v", replies, err)
			}
			m, err := protocol.V2_0.Parse(b)
			if err != nil || !m.Kind.IsReply() {
				continue // the conf
			}
			if m.Kind == protocol.Reply {
				t.Error("a hostile key has a session")
			}
			replies++
			refused++
		}
		if n < 5 {
			_ = conn.Abort()
			<-ended
			break
		}
		_ = discard(conn) // it answers the close
		if reason := <-ended; !errors.Is(reason, server.ErrTooManyRestores) {
			t.Errorf("after five: %v", reason)
		}
	}
	after := files(t, outside)
	if strings.Join(before, "\n") != strings.Join(after, "\n") {
		t.Errorf("files before:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	wantNothing(t, &srv.Log, good)
	load.Figure("hostile session keys", "refused, closed after 5, nothing outside the store touched", "%d refused on %d connections, %d files as before", refused, connections, len(after))
}

// files lists what is below a directory, with sizes and times.
func files(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			all = append(all, path+" "+info.ModTime().Format(time.RFC3339Nano))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Session info that clients cannot take is refused with an error that says why.
func TestSessionInfo(t *testing.T) {
	deep := func(n int) any {
		var v any = 1
		for range n {
			v = map[string]any{"a": v}
		}
		return v
	}
	var info any
	failed := make(chan error, 1)
	srv := load.Start(t, server.Options{Hooks: server.Hooks{
		OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
			_, err := r.Conn.CreateSession(ctx, info)
			failed <- err
			return protocol.Payload{}, nil
		},
	}}, load.Site{})
	c := load.NewClient(srv.Addr, client.Options{})
	defer c.Close()
	for _, tc := range []struct {
		name string
		info any
		ok   bool
	}{
		{"64 KiB", map[string]string{"a": strings.Repeat("x", 64<<10-8)}, true},
		{"more than 64 KiB", map[string]string{"a": strings.Repeat("x", 64<<10-7)}, false},
		{"1 MiB", map[string]string{"a": strings.Repeat("x", 1<<20)}, false},
		{"nested 32", deep(32), true},
		{"nested 33", deep(33), false},
		{"nested 5000", deep(5000), false},
	} {
		info = tc.info
		if _, err := c.Request(t.Context(), "login", protocol.Text("x")); err != nil {
			t.Fatal(err)
		}
		err := <-failed
		if (err == nil) != tc.ok || !tc.ok && !errors.Is(err, server.ErrSessionInfo) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if err == nil {
			if err := c.CloseSession(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		load.Figure("session info: "+tc.name, "refused with a clear error", "%v", err)
	}
}
