package session

import (
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

// String returns "session" and a fingerprint of the key: the first 16 digits of
// its SHA-256, which are also the first of its file in a FileStore. The key
// cannot be computed from it, the session can be followed through a log by it.
func (s Session) String() string {
	if s.Key == "" {
		return "session without key"
	}
	return "session " + s.fingerprint()
}

// GoString is String in the guise of Go syntax.
func (s Session) GoString() string { return "session.Session{/* " + s.String() + " */}" }

// Format implements [fmt.Formatter]. A String method alone would not do: verbs
// that do not fit a string, such as %d, print the fields of a Stringer.
func (s Session) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		io.WriteString(f, s.GoString())
		return
	}
	fmt.Fprintf(f, fmt.FormatString(f, verb), s.String())
}

// LogValue implements [slog.LogValuer]: a group of the fingerprint of the key and
// the times that are known. Info is left out, for it is somebody's data.
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
	hash := Hash(s.Key)
	return hex.EncodeToString(hash[:8])
}
