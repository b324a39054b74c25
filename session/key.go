package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
)

// MaxKeyLength is the maximum length of a key in bytes.
const MaxKeyLength = 255

// Why a session is refused. None of these quotes what it found: it may be a key.
var (
	errKeyEmpty   = errors.New("session: empty key")
	errKeyTooLong = errors.New("session: key longer than 255 bytes")
	errKeyByte    = errors.New("session: key has a byte outside 32..126")
	errInfo       = errors.New("session: info is not valid JSON")
)

// NewKey returns an unguessable session key: 32 random bytes in base64url without
// padding, 43 characters.
func NewKey() string {
	var b [32]byte
	rand.Read(b[:]) // never fails, see its documentation
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// CheckKey returns an error if key is not a valid key: 1 to [MaxKeyLength] bytes,
// each printable ASCII (32 to 126). It is for keys that NewKey did not make, and
// checks only their form: they must also be unguessable.
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

// Hash returns the SHA-256 of key, by which stores identify a session. The key cannot
// be computed from it, and it is safe as a file name or as a value in a database,
// whatever the client sent as a key.
func Hash(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }
