package main

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"sync"
	"time"
)

// users is who may sign in. A real server keeps them in a database.
type users struct {
	mu  sync.Mutex
	all map[string]*account
}

type account struct {
	salt, hash []byte
	signedOut  time.Time // sessions that were created until then do not count
}

// rounds makes the guessing of passwords expensive.
var rounds = 600_000

func hash(password string, salt []byte) []byte {
	h, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		panic(err) // only for lengths that are not allowed
	}
	return h
}

// register adds a user, and reports whether the name was free.
func (u *users) register(name, password string) bool {
	// Nobody has been signed in to this account: sessions of an earlier one of that
	// name, from before a restart, do not count. Those of this very instant do, for
	// clocks may be coarse.
	a := &account{salt: make([]byte, 16), signedOut: time.Now().Add(-1)}
	rand.Read(a.salt)
	a.hash = hash(password, a.salt)
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, taken := u.all[name]; taken {
		return false
	}
	if u.all == nil {
		u.all = make(map[string]*account)
	}
	u.all[name] = a
	return true
}

// nobody has a password that nobody knows, so that unknown names take as long as
// wrong passwords.
var nobody = account{salt: make([]byte, 16), hash: make([]byte, sha256.Size)}

func (u *users) check(name, password string) bool {
	u.mu.Lock()
	a := u.all[name]
	u.mu.Unlock()
	if a == nil {
		a = &nobody
	}
	return subtle.ConstantTimeCompare(hash(password, a.salt), a.hash) == 1
}

// signOut ends all sessions of a user that exist now.
func (u *users) signOut(name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if a := u.all[name]; a != nil {
		a.signedOut = time.Now()
	}
}

// valid reports whether a session of the user that was created then still counts.
func (u *users) valid(name string, created time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	a := u.all[name]
	return a != nil && created.After(a.signedOut)
}
