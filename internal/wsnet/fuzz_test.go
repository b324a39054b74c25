package wsnet

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

// Whatever a header says is an origin, it is one of a scheme and a host, or refused.
func FuzzOrigin(f *testing.F) {
	for _, s := range []string{"https://example.com", "http://[::1]:80", "null", "HTTP://EXAMPLE.COM:", "https://user@example.com", "https://example.com/#", "a://b?", "https://[::ffff:1.2.3.4]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, ok := parseOrigin(text)
		if !ok {
			return
		}
		u, err := url.Parse(text)
		if err != nil || o.scheme == "" || o.host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("%q is the origin %+v, %v", text, o, err)
		}
	})
}

// A server cannot ask for a pause of less than nothing.
func FuzzRetryAfter(f *testing.F) {
	f.Add("120", "")
	f.Add("18446744073709551615", "")
	f.Add("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:00 GMT")
	now := time.Unix(1e9, 0)
	f.Fuzz(func(t *testing.T, after, date string) {
		if d := retryAfter(http.Header{"Retry-After": {after}, "Date": {date}}, now); d < 0 {
			t.Errorf("%q, %q: %v", after, date, d)
		}
	})
}
