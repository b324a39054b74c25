package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

// Proxies cut connections on which nothing moves for their idle limit. An idle
// connection survives every limit above a third of the read timeout, which is when a
// ping is due.
func TestIdleBehindProxies(t *testing.T) {
	for _, proxy := range []struct{ name, config string }{
		{"nginx", `
			pid DIR/pid; error_log DIR/log; daemon off;
			events { worker_connections 64; }
			http {
				access_log off;
				client_body_temp_path DIR/1; proxy_temp_path DIR/2; fastcgi_temp_path DIR/3; uwsgi_temp_path DIR/4; scgi_temp_path DIR/5;
				server {
					listen NEAR;
					location / {
						proxy_pass http://FAR;
						proxy_http_version 1.1;
						proxy_set_header Upgrade $http_upgrade;
						proxy_set_header Connection "upgrade";
						proxy_set_header Host $http_host;
						proxy_read_timeout 1s;
						proxy_send_timeout 1s;
					}
				}
			}`},
		{"haproxy", `
			defaults
				mode http
				timeout connect 5s
				timeout client 1s
				timeout server 1s
				timeout tunnel 1s
			frontend near
				bind NEAR
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
			srv := server.New(server.Options{
				Upgrader:    websocket.Upgrader{},
				ReadTimeout: 2400 * time.Millisecond, // a ping after 800 ms
				Hooks: server.Hooks{OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
					return r.Payload, nil
				}},
			})
			defer srv.Close()
			host := httptest.NewServer(srv)
			defer host.Close()
			near := startProxy(t, path, proxy.config, host.Listener.Addr().String())

			ended := make(chan error, 10)
			c := client.New(websocket.Dialer{URL: "ws://" + near}, client.Options{Hooks: client.Hooks{
				OnDisconnected: func(err error) { ended <- err },
			}})
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for range 2 {
				if _, err := c.Request(ctx, "echo", protocol.Text("x")); err != nil {
					t.Fatal(err)
				}
				select { // idle for three times the limit
				case err := <-ended:
					t.Fatalf("the idle connection was cut: %v", err)
				case <-time.After(3 * time.Second):
				}
			}
		})
	}
}

// startProxy runs a proxy until the test ends and returns the address it listens on.
func startProxy(t *testing.T, path, config, far string) (near string) {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	near = l.Addr().String()
	l.Close()
	file := filepath.Join(dir, "conf")
	config = strings.NewReplacer("DIR", dir, "NEAR", near, "FAR", far).Replace(config)
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
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if t.Failed() {
			fmt.Println(output.String())
		}
	})
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := net.Dial("tcp", near)
		if err == nil {
			conn.Close()
			return near
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v", path, err)
		}
		time.Sleep(10 * time.Millisecond) // until a process of its own listens
	}
}
