package sessions_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport/websocket"
)

// dirEnv in the environment makes the test binary a server with a FileStore there.
const dirEnv = "SESSIONS_TEST_DIR"

func TestMain(m *testing.M) {
	dir := os.Getenv(dirEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	fmt.Fprintln(os.Stderr, serveFiles(dir))
	os.Exit(1)
}

// serveFiles serves until its standard input ends, which it does with the test.
func serveFiles(dir string) error {
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	store, err := session.OpenFileStore(dir, session.FileStoreOptions{})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return http.Serve(ln, server.New(server.Options{
		Sessions: store,
		Upgrader: &websocket.Upgrader{},
		Hooks:    server.Hooks{OnRequest: handle},
		Logger:   slog.New(slog.DiscardHandler),
	}))
}

// process starts such a server and returns its address.
func process(t *testing.T, dir string) (cmd *exec.Cmd, addr string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(exe)
	cmd.Env = append(os.Environ(), dirEnv+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Process.Kill()
		cmd.Wait() // of no interest: it was killed
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(line)
}

// told is a session that a client was told of.
type told struct{ key, name string }

// A server that is killed, with -9, has every session of which it told a client.
func TestKill(t *testing.T) {
	if testing.Short() && !soak {
		t.Skip("starts and kills processes")
	}
	dir := t.TempDir()
	var all []told
	for range rounds(20, 3, 0) {
		cmd, addr := process(t, dir)
		enough := 10 + rand.N(150)
		made := createSessions(t, addr, enough, func() {
			time.AfterFunc(rand.N(10*time.Millisecond), func() {
				if err := cmd.Process.Kill(); err != nil {
					t.Error(err)
				}
			})
		})
		if len(made) < enough {
			t.Fatalf("only %d sessions were made, want %d", len(made), enough)
		}
		all = append(all, made...)
		_, addr = process(t, dir)
		restoreSessions(t, addr, made)
	}
	_, addr := process(t, dir)
	restoreSessions(t, addr, all)
	t.Logf("%d sessions survived", len(all))
}

const workers = 8

// createSessions creates up to 200 sessions per second until the server is gone. It
// calls kill once there are enough.
func createSessions(t *testing.T, addr string, enough int, kill func()) (all []told) {
	var mu sync.Mutex
	var running sync.WaitGroup
	gone := make(chan struct{})
	var once sync.Once
	pace := time.NewTicker(time.Second / 200)
	defer pace.Stop()
	turns := make(chan int)
	for range workers {
		running.Go(func() {
			for n := range turns {
				name := fmt.Sprintf("user %d %s", n, strings.Repeat("x", 3000))
				c := visitor(addr)
				err := c.Connect(t.Context())
				if err == nil {
					_, err = client.Call[struct{}](t.Context(), c, "login", user{Name: name})
				}
				// What counts is what the client was told, not what became of the request.
				if s, ok := c.Session(); ok {
					mu.Lock()
					all = append(all, told{s.Key, name})
					if len(all) == enough {
						kill()
					}
					mu.Unlock()
				} else if err == nil {
					t.Error("a login without a session")
				}
				c.Close()
				if err != nil {
					once.Do(func() { close(gone) })
				}
			}
		})
	}
	for n := 0; ; n++ {
		<-pace.C
		select {
		case turns <- n:
			continue
		case <-gone:
		case <-time.After(time.Minute):
			t.Error("the server was not killed")
		}
		break
	}
	close(turns)
	running.Wait()
	return all
}

func visitor(addr string) *client.Client {
	return client.New(&websocket.Dialer{URL: "ws://" + addr}, client.Options{
		DialTimeout: time.Minute,
		Timeout:     time.Minute,
		Logger:      slog.New(slog.DiscardHandler),
		// The server does not come back under this address.
		DisableAutoconnect: true,
	})
}

func restoreSessions(t *testing.T, addr string, all []told) {
	t.Helper()
	var running sync.WaitGroup
	work := make(chan told)
	for range workers {
		running.Go(func() {
			for s := range work {
				c := visitor(addr)
				if err := c.Connect(t.Context()); err != nil {
					t.Error(err)
				} else if err := c.RestoreSession(t.Context(), s.key); err != nil {
					t.Errorf("a session is lost: %v", err)
				} else if got, _ := c.Session(); string(got.Info) != fmt.Sprintf(`{"name":%q}`, s.name) {
					t.Errorf("a session came back with %.100s", got.Info)
				}
				c.Close()
			}
		})
	}
	for _, s := range all {
		work <- s
	}
	close(work)
	running.Wait()
}

// A file that is torn all the same is served to nobody, and reported; the client
// keeps its key, for the file may be repaired.
func TestTornFile(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		dir := t.TempDir()
		store, err := session.OpenFileStore(dir, session.FileStoreOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		s := open(t, v, server.Options{Sessions: store})
		var told events
		c := s.client(client.Options{Hooks: told.watch("c")})
		made := login(t, c, ann)

		name := filepath.Join(dir, fmt.Sprintf("%x", session.Hash(made.Key)))
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, length := range []int{0, 1, 20, len(whole) / 2, len(whole) - 1} {
			if err := os.WriteFile(name, whole[:length], 0o600); err != nil {
				t.Fatal(err)
			}
			s.dropAll()
			if err := c.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, ok := c.Session(); ok {
				t.Errorf("cut off after %d bytes the client got %s", length, got.Info)
			}
			wantErr(t, c.RestoreSession(t.Context(), made.Key), protocol.ErrInternal)
		}
		if !s.logged.has("level=ERROR") || !s.logged.has("damaged") {
			t.Errorf("it is not reported:\n%v", s.logged)
		}
		if err := os.WriteFile(name, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		s.dropAll()
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantUser(t, c, ann)
		told.want(t, "c created")

		if err := os.WriteFile(name, whole[:20], 0o600); err != nil {
			t.Fatal(err)
		}
		s.dropAll()
		if err := s.CloseSession(t.Context(), made.Key); err != nil { // what is damaged can be closed
			t.Errorf("CloseSession: %v", err)
		}
		if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the file is still there: %v", err)
		}
	})
}
