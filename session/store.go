package session

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

var (
	// ErrNotFound reports that the session does not exist, or no longer exists. The
	// client may forget its key.
	ErrNotFound = errors.New("session: not found")

	// ErrDamaged reports that the session exists but cannot be read completely.
	// Errors that wrap it say which session and why. The client keeps its key,
	// because the store may be repaired.
	ErrDamaged = errors.New("session: damaged")
)

// Store keeps sessions. Its methods may be called from any goroutine at any time.
//
// An error that is [ErrNotFound] by errors.Is means that the session does not exist.
// Any other error means that the store does not know, and the session may exist: a
// store must not return ErrNotFound for a lost connection or a damaged entry. When
// ctx has ended its error is returned unchanged; an operation that is cut short has
// either happened completely or not at all.
//
// A store finds sessions by the [Hash] of their key and stores only the hash. Load
// takes the Key of its result from its argument. Errors do not contain keys. Clients
// choose the keys that they send, so a key may be any string: Save may refuse those
// that [CheckKey] refuses, and other methods then do not find them.
//
// A store does not retain its arguments, and its results belong to the caller. Times
// keep their nanoseconds but not their location; compare them with [time.Time.Equal].
// Info keeps its value, but its bytes may change.
//
// A store may let a session expire some time after LastSeen, or after Created if that
// is later. An expired session does not exist for any method.
type Store interface {
	// Save stores a new session or replaces the one with the same key. The session
	// is durable when Save returns, because the client gets it then. After an error
	// the session is in its old or its new state.
	Save(ctx context.Context, s Session) error

	// Load returns the session with the given key, or ErrNotFound.
	Load(ctx context.Context, key string) (Session, error)

	// Touch sets LastSeen to seen, or returns ErrNotFound. It does nothing if seen is
	// not after LastSeen. It changes nothing else: concurrently with Delete it does
	// not bring the session back, and concurrently with Save it does not bring back
	// what Save replaced. Touch is called often and should be fast; its effect need
	// not survive a crash of the machine.
	Touch(ctx context.Context, key string, seen time.Time) error

	// Update replaces the Info of the session with the given key, as durably as Save
	// stores one, or returns ErrNotFound. It changes nothing else: concurrently with
	// Delete it does not bring the session back, and concurrently with Touch and Save it
	// does not bring back what those replaced. After an error Info is the old or the new
	// one. A nil info is a session without Info.
	Update(ctx context.Context, key string, info json.RawMessage) error

	// Delete removes the session with the given key, as durably as Save stores one.
	// It returns nil if the session does not exist.
	Delete(ctx context.Context, key string) error
}
