package session

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrNotFound says that there is no such session, or no more: the client may
	// forget its key.
	ErrNotFound = errors.New("session: not found")

	// ErrDamaged says that there is a session but it cannot be read whole. Errors
	// that wrap it tell which and why. The client must keep its key, somebody may
	// repair the store.
	ErrDamaged = errors.New("session: damaged")
)

// Store keeps sessions. Its methods may be called from any goroutine at any time.
//
// Not found and failed are different answers. An error that is [ErrNotFound] by
// errors.Is is the store's word that the session does not exist; any other error
// means that the store could not tell, and the client's session may well be alive.
// A store never answers ErrNotFound for a lost connection, a damaged entry, or the
// like. When ctx has ended its error is returned as it is; operations that are
// cut short may or may not have happened, but never by half.
//
// Stores look sessions up by [Hash] of the key and keep that only: the key is not
// written down, Load returns it from its argument. No error contains a key. Keys
// come from clients and may be any string; those that [CheckKey] refuses may be
// refused by Save, and then are just not found.
//
// What is passed in is not retained, what is returned belongs to the caller.
// Times keep their nanoseconds but not their location, compare them by
// [time.Time.Equal]. Info keeps its value, not necessarily its bytes.
//
// A store may let sessions expire a while after LastSeen (or after Created if that
// is later). What has expired does not exist for any method.
type Store interface {
	// Save stores a new session, or replaces all of the one with its key. It is
	// as durable as the store makes anything when Save returns, for then the
	// client is told. After an error other methods find the session as it was
	// before or as it was to be.
	Save(ctx context.Context, s Session) error

	// Load returns the session of key, or ErrNotFound.
	Load(ctx context.Context, key string) (Session, error)

	// Touch moves LastSeen forward to seen, or returns ErrNotFound. A time
	// that is not after LastSeen changes nothing. Touch changes nothing but
	// LastSeen: racing with Delete it does not bring the session back, racing
	// with Save it does not bring back what Save replaced. It is called often
	// and should be cheap; a crash of the machine may undo it.
	Touch(ctx context.Context, key string, seen time.Time) error

	// Delete removes the session of key as durably as Save stores one. To
	// delete what is not there is no error: the caller has what it wants.
	Delete(ctx context.Context, key string) error
}
