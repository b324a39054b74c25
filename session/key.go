package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
)

// MaxKeyLength is the number of bytes a key may have.
const MaxKeyLength = 255

// Why a session is refused. None of these says what it found: it may be a key.
var (
	errKeyEmpty   = errors.New("session: empty key")
	errKeyTooLong = errors.New("session: key longer than 255 bytes")
	errKeyByte    = errors.New("session: key has a byte outside 32..126")
	errInfo       = errors.New("session: info is not valid JSON")
)

// NewKey makes a session key that nobody guesses: 32 random bytes in base64url
// without padding, 43 characters.
func NewKey() string {
	var b [32]byte
	rand.Read(b[:]) // never fails, see its documentation
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// CheckKey returns an error if key is not fit for the wire: a key has 1 to
// [MaxKeyLength] bytes, each printable ASCII (32..126). It is meant for keys that
// NewKey did not make, and judges their form only: they must also be unguessable.
func CheckKey(key string) error {
	if key == "" {
		return errKeyEmpty
	}
	if len(key) > MaxKeyLength {
		return errKeyTooLong
	}
	for i := range len(key) {
		if key[i] < 32 || key[i] > 126 {
			return errKeyByte
		}
	}
	return nil
}

// Hash is the name under which a store keeps the session of key. It has a fixed
// length and says nothing of the key, so it is safe as a file name or as a column,
// whatever a client sent.
func Hash(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }
