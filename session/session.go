// Package session holds the sessions of WebWire clients: what a session is, and
// where it is kept while its client is away.
//
// A session is known by its key, a secret that the server makes up with [NewKey]
// and tells the client. Whoever has the key has the session, so the key is
// treated as a password: no method of [Session] prints it, no error of this
// package contains it, encoding/json leaves it out, and a [Store] keeps its
// SHA-256 only (see [Hash]). A stolen store opens no session.
//
// Two stores are ready for use. A [MemoryStore] forgets everything when the
// process ends:
//
//	store := &session.MemoryStore{MaxAge: 7 * 24 * time.Hour}
//
// A [FileStore] keeps a file per session, which is on the disk before the client
// hears of it, and may be shared by the processes of one machine:
//
//	store, err := session.OpenFileStore("/var/lib/chat/sessions", session.FileStoreOptions{
//		MaxAge: 7 * 24 * time.Hour,
//	})
//
// Both forget a session that was not used for MaxAge, [DefaultMaxAge] unless it is set.
// Either is given to the server in its options. To keep sessions elsewhere
// implement [Store], four methods, and run the suite in session/sessiontest on it.
package session

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// Session is what a server keeps about a client between its connections.
type Session = protocol.Session

// InfoAs decodes the application's part of a session. The zero T is returned if
// there is none; who must tell that from an empty value asks for a pointer:
//
//	cart, err := session.InfoAs[*Cart](s) // nil, nil: no info
func InfoAs[T any](s Session) (T, error) {
	var v T
	if len(s.Info) == 0 {
		return v, nil
	}
	if err := json.Unmarshal(s.Info, &v); err != nil {
		var zero T
		return zero, fmt.Errorf("session: decoding info: %w", err)
	}
	return v, nil
}

// check returns why s cannot be stored, or nil.
func check(s Session) error {
	if err := CheckKey(s.Key); err != nil {
		return err
	}
	if len(s.Info) > 0 && !json.Valid(s.Info) {
		return errInfo
	}
	return nil
}

// lastUse returns the time from which the session's age counts.
func lastUse(s Session) time.Time {
	if s.Created.After(s.LastSeen) {
		return s.Created
	}
	return s.LastSeen
}

// DefaultMaxAge is how long stores keep a session that is not used, unless they are told
// otherwise.
const DefaultMaxAge = 30 * 24 * time.Hour

// orDefault returns the maximal age that an option stands for; zero or less: none.
func orDefault(maxAge time.Duration) time.Duration {
	if maxAge == 0 {
		return DefaultMaxAge
	}
	return maxAge
}

// expired says whether something last used at t is too old for maxAge.
func expired(t time.Time, maxAge time.Duration) bool {
	return maxAge > 0 && time.Since(t) >= maxAge
}

// storable is t as a store returns it: UTC, and without a monotonic reading,
// which means nothing to another process.
func storable(t time.Time) time.Time { return t.Round(0).UTC() }
