package protocol

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

// String returns "session" and a fingerprint of the key: the first 16 hexadecimal
// digits of its SHA-256, with which the name of its file in a session.FileStore also
// starts. The key cannot be computed from the fingerprint.
func (s Session) String() string {
	if s.Key == "" {
		return "session without key"
	}
	return "session " + s.fingerprint()
}

// GoString returns the result of String as a Go expression without the key.
func (s Session) GoString() string { return "protocol.Session{/* " + s.String() + " */}" }

// Format implements [fmt.Formatter]. A String method alone is not enough: verbs
// that do not apply to strings, such as %d, print the fields of a Stringer.
func (s Session) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		io.WriteString(f, s.GoString())
		return
	}
	fmt.Fprintf(f, fmt.FormatString(f, verb), s.String())
}

// LogValue implements [slog.LogValuer]. It returns a group of the fingerprint of the
// key and the times that are set. Info is left out, because it may be personal data.
func (s Session) LogValue() slog.Value {
	var attrs []slog.Attr
	if s.Key != "" {
		attrs = append(attrs, slog.String("id", s.fingerprint()))
	}
	if !s.Created.IsZero() {
		attrs = append(attrs, slog.Time("created", s.Created))
	}
	if !s.LastSeen.IsZero() {
		attrs = append(attrs, slog.Time("lastSeen", s.LastSeen))
	}
	return slog.GroupValue(attrs...)
}

func (s Session) fingerprint() string {
	hash := sha256.Sum256([]byte(s.Key))
	return hex.EncodeToString(hash[:8])
}
