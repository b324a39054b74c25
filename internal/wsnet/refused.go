package wsnet

import (
	"bufio"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/webwire-go/webwire/transport"
)

// maxReason is the longest text of an answer that is kept, in bytes.
const maxReason = 200

// refused returns the error for an answer that is not the one that was hoped for. It
// reads the beginning of the body.
func refused(resp *http.Response) *transport.RefusedError {
	return &transport.RefusedError{
		StatusCode: resp.StatusCode,
		RetryAfter: retryAfter(resp.Header, time.Now()),
		Reason:     firstLine(resp.Body),
		Location:   location(resp),
	}
}

// location returns where a redirect points to, without what may be secret in it.
func location(resp *http.Response) string {
	if resp.StatusCode < 300 || resp.StatusCode > 399 {
		return ""
	}
	u, err := resp.Location()
	if err != nil {
		return ""
	}
	return nameOf(u)
}

// firstLine returns the first line of r that is not empty, as far as it is text.
func firstLine(r io.Reader) string {
	lines := bufio.NewScanner(io.LimitReader(r, 1<<10))
	for lines.Scan() {
		line := strings.TrimSpace(strings.ToValidUTF8(lines.Text(), ""))
		if line == "" {
			continue
		}
		for len(line) > maxReason {
			_, size := utf8.DecodeLastRuneInString(line)
			line = line[:len(line)-size]
		}
		return line
	}
	return ""
}

// retryAfter returns how long an answer asks to wait, zero if it does not. It may
// do so in seconds or with a date, which counts from the answer's own date if
// that is given, as the two clocks may differ.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil {
		return time.Duration(min(seconds, math.MaxInt64/uint64(time.Second))) * time.Second
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if sent, err := http.ParseTime(h.Get("Date")); err == nil {
		now = sent
	}
	return max(date.Sub(now), 0)
}
