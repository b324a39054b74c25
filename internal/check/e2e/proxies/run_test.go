package proxies_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/webwire-go/webwire/internal/check/port"
)

// kind is a proxy: how its configuration in docs/proxies.md becomes one for the test, how
// it is started, and how it reloads.
type kind struct {
	name   string
	keeps  bool // connections outlive a reload
	config func(p *proxy, text string) string
	args   func(p *proxy) []string
	reload func(p *proxy) error
}

var kinds = []kind{
	{
		name:  "nginx",
		keeps: true,
		config: func(p *proxy, text string) string {
			return p.fill(`
				pid DIR/pid; error_log DIR/log; daemon off;
				events { worker_connections 64; }
				http {
					access_log off;
					client_body_temp_path DIR/1; proxy_temp_path DIR/2; fastcgi_temp_path DIR/3; uwsgi_temp_path DIR/4; scgi_temp_path DIR/5;
					`) + p.fill(text) + "}\n"
		},
		args:   func(p *proxy) []string { return []string{"-p", p.dir, "-c", p.file} },
		reload: func(p *proxy) error { return p.cmd.Process.Signal(syscall.SIGHUP) },
	}, {
		name:   "haproxy",
		keeps:  true,
		config: func(p *proxy, text string) string { return p.fill(text) },
		args:   func(p *proxy) []string { return []string{"-W", "-f", p.file} },
		reload: func(p *proxy) error { return p.cmd.Process.Signal(syscall.SIGUSR2) },
	}, {
		name: "caddy",
		config: func(p *proxy, text string) string {
			options := "{\n\tadmin 127.0.0.1:" + strconv.Itoa(p.admin) + "\n\tauto_https disable_redirects\n}\n"
			return options + p.fill(strings.Replace(text, "chat.example.com {", "https://chat.example.com:PORT {\n\ttls DIR/chat.pem DIR/chat.key", 1))
		},
		args: func(p *proxy) []string { return []string{"run", "--config", p.file, "--adapter", "caddyfile"} },
		reload: func(p *proxy) error {
			// Without a change it would do nothing.
			text, err := os.ReadFile(p.file)
			if err != nil {
				return err
			}
			if err := os.WriteFile(p.file, bytes.Replace(text, []byte("reverse_proxy"), []byte("header X-Reloaded yes\n\treverse_proxy"), 1), 0o600); err != nil {
				return err
			}
			cmd := exec.Command(p.path, "reload", "--config", p.file, "--adapter", "caddyfile", "--address", fmt.Sprintf("127.0.0.1:%d", p.admin))
			cmd.Env = p.environment()
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		},
	},
}

// proxy is a running proxy.
type proxy struct {
	kind
	t           *testing.T
	path        string // of the program
	dir, file   string
	port, admin int
	backend     string
	limit       time.Duration // in place of 60s
	roots       *x509.CertPool
	cmd         *exec.Cmd
	output      bytes.Buffer
}

// newProxy starts a proxy with its configuration from docs/proxies.md.
func newProxy(t *testing.T, k kind, backend string, limit time.Duration) *proxy {
	t.Helper()
	path, err := exec.LookPath(k.name)
	if err != nil {
		t.Skipf("%s is not installed: apt-get install %s", k.name, k.name)
	}
	p := &proxy{kind: k, t: t, path: path, dir: t.TempDir(), backend: backend, limit: limit, port: reserve(t), admin: reserve(t)}
	p.file = filepath.Join(p.dir, "conf")
	p.certificate()
	text := k.config(p, configuration(t, k.name))
	if err := os.WriteFile(p.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
			t.Logf("the configuration:\n%s\nthe output:\n%s%s", text, p.output.Bytes(), log)
		}
	})
	p.start()
	return p
}

// configuration returns the block of docs/proxies.md.
func configuration(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../../../docs/proxies.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)<!-- config: " + name + " -->\n```\\w+\n(.*?)```").FindSubmatch(text)
	if m == nil {
		t.Fatalf("docs/proxies.md has no configuration of %s", name)
	}
	return string(m[1])
}

// fill puts in what is different in the test: ports, limits, files.
func (p *proxy) fill(text string) string {
	return strings.NewReplacer(
		"listen 443", "listen "+strconv.Itoa(p.port),
		":443", ":"+strconv.Itoa(p.port),
		"PORT", strconv.Itoa(p.port),
		"127.0.0.1:8080", p.backend,
		"60s", fmt.Sprintf("%dms", p.limit.Milliseconds()),
		"/etc/ssl", p.dir,
		"DIR", p.dir,
	).Replace(text)
}

func (p *proxy) environment() []string {
	return append(os.Environ(), "HOME="+p.dir, "XDG_DATA_HOME="+p.dir, "XDG_CONFIG_HOME="+p.dir)
}

// start runs the proxy and waits until it listens.
func (p *proxy) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.path, p.args(p)...)
	p.cmd.Env = p.environment()
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; {
		conn, err := net.Dial("tcp", p.address())
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s does not listen: %v", p.name, err)
		}
		time.Sleep(10 * time.Millisecond) // until another process listens
	}
}

// stop ends the proxy and its connections.
func (p *proxy) stop() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // the fast way, of all three
	ended := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait()
	ended.Stop()
	p.cmd = nil
}

func (p *proxy) address() string { return "127.0.0.1:" + strconv.Itoa(p.port) }

// dial connects to the proxy, whatever the name.
func (p *proxy) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", p.address())
}

// reserve returns a port that nobody else uses, not even while the proxy restarts.
func reserve(t *testing.T) int {
	t.Helper()
	addr, err := netip.ParseAddrPort(port.Reserve(t))
	if err != nil {
		t.Fatal(err)
	}
	return int(addr.Port())
}

// certificate writes a certificate of chat.example.com that is its own authority.
func (p *proxy) certificate() {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: "chat.example.com"},
		DNSNames:              []string{"chat.example.com"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		p.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		p.t.Fatal(err)
	}
	p.roots = x509.NewCertPool()
	p.roots.AddCert(cert)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		p.t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	// HAProxy wants both in one file, and the others do not mind.
	for name, data := range map[string][]byte{"chat.pem": append(public, private...), "chat.key": private} {
		if err := os.WriteFile(filepath.Join(p.dir, name), data, 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
}
