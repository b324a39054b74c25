package wsnet

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/webwire-go/webwire/transport"
)

// maxAnswer is the length of the longest answer of a proxy, in bytes.
const maxAnswer = 64 << 10

// proxy returns the proxy of a request that net/http is to use. It does not if it would
// hand the request itself to the proxy: no proxy may pass on what asks for an upgrade
// (RFC 9110, section 7.6.1). A WebSocket without TLS needs a tunnel too (RFC 6455, section
// 4.1), which dial makes.
func (h *Handshake) proxy(r *http.Request) (*url.URL, error) {
	choose := h.endpoint.Proxy
	if choose == nil {
		choose = http.ProxyFromEnvironment
	}
	proxy, err := choose(r)
	if err != nil || proxy == nil || r.URL.Scheme != "http" || proxy.Scheme != "http" && proxy.Scheme != "https" {
		return proxy, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tunnel = proxy
	return nil, nil
}

// openTunnel returns the connection to addr behind a proxy that wire leads to.
func openTunnel(ctx context.Context, wire net.Conn, proxy *url.URL, config *tls.Config, addr string) (net.Conn, error) {
	conn := wire
	if proxy.Scheme == "https" {
		config = config.Clone()
		if config.ServerName == "" {
			config.ServerName = proxy.Hostname()
		}
		secure := tls.Client(wire, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn = secure
	}
	r := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: make(http.Header)}
	if u := proxy.User; u != nil {
		password, _ := u.Password()
		r.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	if err := r.Write(conn); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(io.LimitReader(oneByte{conn}, maxAnswer)), r)
	if err != nil {
		return nil, fmt.Errorf("answer to CONNECT: %w", err)
	}
	if answer.StatusCode == http.StatusProxyAuthRequired { // only a person can help
		return nil, fmt.Errorf("answer to CONNECT: %w", &transport.RefusedError{StatusCode: answer.StatusCode})
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answer to CONNECT: %s", answer.Status)
	}
	return conn, nil
}

// oneByte reads a byte at a time, so that no buffer takes what comes behind an answer.
type oneByte struct{ io.Reader }

func (r oneByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 1)]) }

// proxyAddr returns the address of a proxy.
func proxyAddr(proxy *url.URL) string {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[proxy.Scheme]
	}
	return net.JoinHostPort(proxy.Hostname(), port)
}
