package wsnet

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/webwire-go/webwire/transport"
)

// CheckOrigin returns an error that wraps transport.ErrOrigin unless the page that made
// the request may connect. A request without an Origin does not come from a page and
// may. A page may if its host and port are those of the request, or if its scheme, host
// and port are listed in allowed; "*" in allowed lets every page connect.
//
// The scheme of a request without TLS is not compared: a proxy may have terminated TLS, so
// that the page has another scheme.
//
// Browsers send the user's cookies with a WebSocket request of any page, and do not ask the
// server for permission first. This check is all that protects a session in a cookie from
// other pages.
func CheckOrigin(r *http.Request, allowed []string) error {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return nil
	}
	for _, entry := range allowed {
		if entry == "*" {
			return nil
		}
	}
	if origin, ok := parseOrigin(origins[0]); ok && len(origins) == 1 {
		web := origin.scheme == "https" || origin.scheme == "http" && r.TLS == nil
		if own, ok := parseOrigin(origin.scheme + "://" + r.Host); ok && own == origin && web {
			return nil
		}
		for _, entry := range allowed {
			if o, ok := parseOrigin(entry); ok && o == origin {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: %.200q at %.200q; if its pages may connect, add it to Upgrader.Origins", transport.ErrOrigin, origins[0], r.Host)
}

// CheckOrigins returns an error that names the first allowed origin that cannot match any
// page, or nil if there is none.
func CheckOrigins(allowed []string) error {
	for _, entry := range allowed {
		if entry == "*" {
			continue
		}
		if _, ok := parseOrigin(entry); !ok || strings.Contains(entry, "*") {
			return fmt.Errorf("websocket: Upgrader.Origins has %q, which matches no page: an entry is scheme://host[:port], without a path, or * alone", entry)
		}
	}
	return nil
}

// origin is an origin that can be compared: in lower case, with the port.
type origin struct{ scheme, host, port string }

// parseOrigin refuses anything that is not scheme://host[:port], "null" above all, which
// every sandboxed page and local file sends.
func parseOrigin(text string) (o origin, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Hostname() == "" ||
		u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(text, "#") {
		return o, false
	}
	o = origin{u.Scheme, strings.ToLower(u.Hostname()), u.Port()}
	if ip := net.ParseIP(o.host); ip != nil {
		o.host = ip.String() // IPv6 addresses have many forms
	}
	if o.port == "" {
		o.port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return o, true
}
