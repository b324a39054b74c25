package logs

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxText is the maximum number of bytes of a text that are logged.
const maxText = 1024

// Text returns what fmt prints of value, made safe by Clean.
func Text(value any) string { return Clean(fmt.Sprint(value)) }

// Clean returns s made safe for any log, because a peer may have chosen it: at most
// about maxText bytes, with control characters, line breaks and invalid UTF-8 escaped as
// in Go.
func Clean(s string) string {
	more := len(s) - maxText
	if more > 0 {
		s = s[:maxText]
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case strconv.IsPrint(r):
			b.WriteString(s[:n])
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
		s = s[n:]
	}
	if more > 0 {
		fmt.Fprintf(&b, " (%d bytes more)", more)
	}
	return b.String()
}
