package wsnet

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// CheckOrigin returns an error unless the page that made the request may
// connect. A request without an Origin does not come from a page and may. A page
// may if its scheme, host and port are those of the request, or are listed in
// allowed; "*" in allowed lets every page connect.
//
// A WebSocket request carries the user's cookies whatever page made it, and no
// browser asks the server first, so this is the only thing between a session in
// a cookie and every page on the web.
func CheckOrigin(r *http.Request, allowed []string) error {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return nil
	}
	var mistake string // an entry of allowed that can not match anything
	list := make([]string, 0, 8)
	for _, entry := range allowed {
		if entry == "*" {
			return nil
		}
		if o, ok := canonicalOrigin(entry); ok {
			list = append(list, o)
		} else {
			mistake = entry
		}
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if o, ok := canonicalOrigin(scheme + "://" + r.Host); ok {
		list = append(list, o)
	}
	if len(origins) == 1 {
		if origin, ok := canonicalOrigin(origins[0]); ok {
			for _, o := range list {
				if o == origin {
					return nil
				}
			}
		}
	}
	err := fmt.Errorf("origin %.200q is not allowed at %s://%.200s", origins[0], scheme, r.Host)
	if mistake != "" {
		err = fmt.Errorf("%w; the allowed origin %q is not of the form scheme://host[:port]", err, mistake)
	}
	return err
}

// canonicalOrigin returns the form of an origin that can be compared: lower
// case, without the default port. Anything that is not scheme://host[:port] is
// refused, "null" above all, which every sandboxed page and local file sends.
func canonicalOrigin(origin string) (string, bool) {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Hostname() == "" ||
		u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(origin, "#") {
		return "", false
	}
	scheme, host, port := u.Scheme, strings.ToLower(u.Hostname()), u.Port()
	if port == "" {
		switch scheme {
		case "http":
			port = "80"
		case "https":
			port = "443"
		}
	}
	return scheme + "://" + net.JoinHostPort(host, port), true
}
