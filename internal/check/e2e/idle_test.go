package e2e_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
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
	"github.com/webwire-go/webwire/transport/websocket"
)

// Proxies cut connections on which nothing moves for their idle limit. An idle
// connection survives every limit above a third of the read timeout, which is when a
// ping is due. The machine must not stand still for a fifth of the limit; a longer limit
// is tried after a failure.
func TestIdleBehindProxies(t *testing.T) {
	t.Parallel()
	for _, proxy := range []struct{ name, config string }{
		{"nginx", `
			pid DIR/pid; error_log DIR/log; daemon off;
			events { worker_connections 64; }
			http {
				access_log off;
				client_body_temp_path DIR/1; proxy_temp_path DIR/2; fastcgi_temp_path DIR/3; uwsgi_temp_path DIR/4; scgi_temp_path DIR/5;
				server {
					listen unix:NEAR;
					location / {
						proxy_pass http://FAR;
						proxy_http_version 1.1;
						proxy_set_header Upgrade $http_upgrade;
						proxy_set_header Connection "upgrade";
						proxy_set_header Host $http_host;
						proxy_read_timeout LIMIT;
						proxy_send_timeout LIMIT;
					}
				}
			}`},
		{"haproxy", `
			defaults
				mode http
				timeout connect 5s
				timeout client LIMIT
				timeout server LIMIT
				timeout tunnel LIMIT
			frontend near
				bind unix@NEAR
				default_backend far
			backend far
				server far FAR
			`},
	} {
		t.Run(proxy.name, func(t *testing.T) {
			t.Parallel()
			path, err := exec.LookPath(proxy.name)
			if err != nil {
				t.Skipf("%s is not installed", proxy.name)
			}
			for limit := time.Second; ; limit *= 3 {
				err := idleBehind(t, path, proxy.config, limit)
				if err == nil {
					return
				}
				if limit > 8*time.Second {
					t.Fatal(err)
				}
				t.Logf("with a limit of %v: %v", limit, err)
			}
		})
	}
}

// idleBehind leaves a connection idle behind a proxy for three times the proxy's limit,
// before and after a request.
func idleBehind(t *testing.T, path, config string, limit time.Duration) error {
	srv := server.New(server.Options{
		Upgrader:    websocket.Upgrader{},
		ReadTimeout: limit * 12 / 5, // a ping after 0.8 of the limit
		Logger:      slog.New(slog.DiscardHandler),
		Hooks: server.Hooks{OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
			return r.Payload, nil
		}},
	})
	defer srv.Close()
	host := httptest.NewServer(srv)
	defer host.Close()
	near, stop := startProxy(t, path, config, host.Listener.Addr().String(), limit)
	defer stop()

	ended := make(chan error, 10)
	c := client.New(websocket.Dialer{
		URL: "ws://proxy",
		NetDial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", near)
		},
	}, client.Options{Hooks: client.Hooks{
		OnDisconnected: func(_ context.Context, err error) { ended <- err },
	}})
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 2 {
		if _, err := c.Request(ctx, "echo", protocol.Text("x")); err != nil {
			return err
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the idle connection was cut: %w", err)
		case <-time.After(3 * limit):
		}
	}
	return nil
}

// startProxy runs a proxy and returns the unix socket that it listens on. stop ends it.
func startProxy(t *testing.T, path, config, far string, limit time.Duration) (near string, stop func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ww") // that of the test may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	near = filepath.Join(dir, "near")
	file := filepath.Join(dir, "conf")
	config = strings.NewReplacer("DIR", dir, "NEAR", near, "FAR", far, "LIMIT", fmt.Sprintf("%ds", limit/time.Second)).Replace(config)
	if err := os.WriteFile(file, []byte(config+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-f", file}
	if filepath.Base(path) == "nginx" {
		args = []string{"-p", dir, "-c", file}
	}
	cmd := exec.Command(path, args...)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		os.RemoveAll(dir)
		t.Log(output.String())
	})
	t.Cleanup(stop)
	for deadline := time.Now().Add(30 * time.Second); ; {
		conn, err := net.Dial("unix", near)
		if err == nil {
			conn.Close()
			return near, stop
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v", path, err)
		}
		time.Sleep(10 * time.Millisecond) // until a process of its own listens
	}
}
