package main

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"sync"
	"time"
)

// users are the accounts. A real server keeps them in a database.
type users struct {
	mu  sync.Mutex
	all map[string]*account
}

type account struct {
	salt, hash []byte
	signedOut  time.Time // sessions created until then are not valid
}

// rounds makes guessing passwords expensive.
var rounds = 600_000

// hashing limits the processors that are busy with passwords at the same time.
var hashing = make(chan struct{}, 2)

func hash(password string, salt []byte) []byte {
	hashing <- struct{}{}
	defer func() { <-hashing }()
	h, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		panic(err) // only for lengths that are not allowed
	}
	return h
}

// register adds a user, and reports whether the name was free.
func (u *users) register(name, password string) bool {
	// Sessions of an earlier account with this name, from before a restart of the
	// server, are not valid. Those created right now are: clocks may be coarse.
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

// nobody is checked in place of an unknown user, so that an unknown name takes as long
// as a wrong password.
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

// valid reports whether a session of the user with this time of creation is valid.
func (u *users) valid(name string, created time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	a := u.all[name]
	return a != nil && created.After(a.signedOut)
}
