// Package session stores the sessions of WebWire clients while the clients are not
// connected.
//
// A session is identified by its key, a secret that the server generates with
// [NewKey] and sends to the client. Whoever has the key has the session, so the key
// is treated like a password: package fmt and log/slog do not print it, errors of
// this package do not contain it, encoding/json leaves it out, and a [Store] keeps
// only its SHA-256 (see [Hash]). The contents of a store do not give access to any
// session.
//
// There are two stores. A [MemoryStore] loses its sessions when the process ends:
//
//	store := &session.MemoryStore{MaxAge: 7 * 24 * time.Hour}
//
// A [FileStore] keeps one file per session, which is on disk before the client gets
// the session. Processes of one machine may share it:
//
//	store, err := session.OpenFileStore("/var/lib/chat/sessions", session.FileStoreOptions{
//		MaxAge: 7 * 24 * time.Hour,
//	})
//
// Both delete sessions that have not been used for MaxAge, by default
// [DefaultMaxAge]. Set server.Options.Sessions to the store. To keep sessions
// elsewhere, implement [Store] and test it with the suite in session/sessiontest.
package session

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// Session is what a server keeps about a client between its connections.
type Session = protocol.Session

// InfoAs decodes the Info of a session. It returns the zero T if there is none. With
// a pointer type, no info and an empty value are different results:
//
//	cart, err := session.InfoAs[*Cart](s) // nil, nil: no info
func InfoAs[T any](s Session) (T, error) {
	var v T
	if len(s.Info) == 0 {
		return v, nil
	}
	if err := json.Unmarshal(s.Info, &v); err != nil {
		var zero T
		return zero, fmt.Errorf("session: decode info: %w", err)
	}
	return v, nil
}

// check returns why s cannot be stored, or nil.
func check(s Session) error {
	if err := CheckKey(s.Key); err != nil {
		return err
	}
	return checkInfo(s.Info)
}

func checkInfo(info json.RawMessage) error {
	if len(info) > 0 && !json.Valid(info) {
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

// DefaultMaxAge is how long a store keeps a session after its last use if its MaxAge is
// zero.
const DefaultMaxAge = 30 * 24 * time.Hour

// orDefault returns the maximum age that an option stands for; negative: no limit.
func orDefault(maxAge time.Duration) time.Duration {
	if maxAge == 0 {
		return DefaultMaxAge
	}
	return maxAge
}

// expired reports whether something last used at t is too old for maxAge.
func expired(t time.Time, maxAge time.Duration) bool {
	return maxAge > 0 && time.Since(t) >= maxAge
}

// storable returns t as a store returns it: in UTC and without a monotonic clock
// reading, which has no meaning in another process.
func storable(t time.Time) time.Time { return t.Round(0).UTC() }
