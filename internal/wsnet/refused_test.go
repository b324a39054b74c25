package wsnet

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		text, date string
		want       time.Duration
	}{
		{"", "", 0},
		{"0", "", 0},
		{"120", "", 2 * time.Minute},
		{" 7 ", "", 7 * time.Second},
		{"-1", "", 0},
		{"1.5", "", 0},
		{"soon", "", 0},
		{"99999999999999", "", math.MaxInt64 / time.Second * time.Second},
		{"99999999999999999999999", "", 0},
		{"Thu, 02 Jan 2020 03:05:05 GMT", "", time.Minute},
		{"Thu, 02 Jan 2020 03:04:00 GMT", "", 0},
		{"Thu, 02 Jan 2020 09:00:30 GMT", "Thu, 02 Jan 2020 09:00:00 GMT", 30 * time.Second},
		{"120", "Thu, 02 Jan 2020 09:00:00 GMT", 2 * time.Minute},
	} {
		h := http.Header{}
		h.Set("Retry-After", c.text)
		h.Set("Date", c.date)
		if got := retryAfter(h, now); got != c.want {
			t.Errorf("Retry-After %q, Date %q: %v, want %v", c.text, c.date, got, c.want)
		}
	}
}

func TestFirstLine(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{"", ""},
		{"one", "one"},
		{"\r\n  \n one \r\ntwo", "one"},
		{"a\xffb", "ab"},
		{strings.Repeat("x", 300), strings.Repeat("x", 200)},
		{"x" + strings.Repeat("é", 300), "x" + strings.Repeat("é", 99)},
	} {
		if got := firstLine(strings.NewReader(c.body)); got != c.want {
			t.Errorf("%.20q: %q, want %q", c.body, got, c.want)
		}
	}
}
