package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// httpSteps are about what comes before the connection.
var httpSteps = []step{
	{name: "version that the server does not speak", run: otherVersion},
	{name: "metadata", run: metadata},
	{name: "preflight", run: preflight},
	{name: "any path", run: anyPath},
}

func refusedWith503(err error) bool {
	var refused *transport.RefusedError
	return errors.As(err, &refused) && refused.StatusCode == http.StatusServiceUnavailable
}

// http sends a request without a body.
func (r *run) http(addr, method, path string) (*http.Response, string, error) {
	n, ok := r.Network.(WebSocket)
	if !ok {
		return nil, "", skip("there is no HTTP on this network")
	}
	req, err := http.NewRequestWithContext(r.ctx, method, n.url("http", addr, path), nil)
	if err != nil {
		return nil, "", err
	}
	if n.Header != nil {
		req.Header = n.Header.Clone()
	}
	alone := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: n.TLS}}
	resp, err := alone.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// unavailable checks what HTTP says during a shutdown, if there is HTTP.
func (r *run) unavailable(addr string) error {
	for _, method := range []string{http.MethodOptions, protocol.MetadataMethod, http.MethodGet} {
		resp, body, err := r.http(addr, method, "/")
		var skipped skip
		switch {
		case errors.As(err, &skipped):
			return nil
		case err != nil:
			return fmt.Errorf("%s during shutdown: %w", method, err)
		case resp.StatusCode != http.StatusServiceUnavailable, body != "Server shutting down\n",
			!strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain"):
			return fmt.Errorf("%s during shutdown: %s %q", method, resp.Status, body)
		}
	}
	if conn, err := r.Network.Dialer(addr).Dial(r.ctx, transport.DialOptions{Protocols: []string{r.Version.Token()}}); !refusedWith503(err) {
		if err == nil {
			_ = conn.Abort()
		}
		return fmt.Errorf("upgrade during shutdown: %v", err)
	}
	return nil
}

// otherVersion needs an endpoint that does not negotiate, so it is one of another
// version to who offers nothing.
func otherVersion(r *run) error {
	if n, ok := r.Network.(WebSocket); !ok || !n.Silent {
		return skip("only an endpoint that negotiates nothing can disagree")
	}
	other := protocol.V1_2
	if r.Version == other {
		other = protocol.V1_3
	}
	p := r.client(r.Addr, []protocol.Version{other})
	var mismatch *client.VersionError
	if err := p.Connect(r.ctx); !errors.As(err, &mismatch) {
		return fmt.Errorf("client of %v: %v, want a VersionError", other, err)
	}
	if n := p.Stats().Sent; n != 0 {
		return fmt.Errorf("client of %v sent %d messages", other, n)
	}
	return nil
}

func metadata(r *run) error {
	resp, body, err := r.http(r.Addr, protocol.MetadataMethod, "/")
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" ||
		resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		return fmt.Errorf("%s with %v", resp.Status, resp.Header)
	}
	var meta struct {
		Version     string `json:"protocol-version"`
		ReadTimeout *int   `json:"read-timeout"`
	}
	if err := json.Unmarshal([]byte(body), &meta); err != nil {
		return fmt.Errorf("metadata %q: %w", body, err)
	}
	if meta.Version != r.Version.String() {
		return fmt.Errorf("metadata %q, want version %v", body, r.Version)
	}
	if r.Version == protocol.V1_5 && (meta.ReadTimeout == nil || *meta.ReadTimeout < 1) {
		return fmt.Errorf("metadata %q, want a read timeout", body)
	}
	return nil
}

func preflight(r *run) error {
	resp, body, err := r.http(r.Addr, http.MethodOptions, "/")
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || body != "" ||
		resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Access-Control-Allow-Methods") != "WEBWIRE" {
		return fmt.Errorf("%s %q with %v", resp.Status, body, resp.Header)
	}
	return nil
}

func anyPath(r *run) error {
	if n, ok := r.Network.(WebSocket); ok && n.Path != "" && n.Path != "/" {
		return skip("the server is said to be at one path")
	}
	for _, path := range []string{"/some/path", "//double", "/a/../b", "/x?query=1", "/%20"} {
		resp, _, err := r.http(r.Addr, protocol.MetadataMethod, path)
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", path, resp.Status)
		}
	}
	return nil
}
