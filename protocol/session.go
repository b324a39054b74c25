package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Session is what a server keeps about a client between its connections. It is sent
// to the client in SessionCreated and in the reply to RestoreSession. Package session
// stores sessions.
//
// Key is a secret: whoever has it has the session. Package fmt prints a Session as a
// short fingerprint of its key, also inside structs, slices and maps, with two
// exceptions. It calls no method of unexported fields: do not print a struct that
// keeps a Session in one, unless the struct has a String method. And it calls none for
// %p and %w, which make no sense for a Session; go vet reports them.
//
// The JSON form, which is not the form on the wire, contains everything but the key.
// Encodings that keep whole values, such as encoding/gob, include the key.
type Session struct {
	Key      string    `json:"-" xml:"-"`
	Created  time.Time `json:"created"`
	LastSeen time.Time `json:"lastSeen"` // zero where the version does not say

	// Info is the application's data, one JSON value. Empty and null mean the same:
	// there is none.
	Info json.RawMessage `json:"info,omitempty"`
}

var (
	errNoKey    = malformed("session without a key")
	errKeyBytes = malformed("session key has bytes outside 32 to 126")
)

// sessionFields tells which fields clients of a version read.
type sessionFields struct {
	early bool // key, crt, inf: 1.2 and early 1.3
	late  bool // k, c, l, i: late 1.3 and after
}

// sessionObject has the fields of all versions (sections 3.4 and 4.3).
type sessionObject struct {
	Key      string          `json:"key,omitempty"`
	Created  *time.Time      `json:"crt,omitempty"`
	Info     json.RawMessage `json:"inf,omitempty"`
	K        string          `json:"k,omitempty"`
	C        *time.Time      `json:"c,omitempty"`
	LastSeen *time.Time      `json:"l,omitempty"`
	I        json.RawMessage `json:"i,omitempty"`
}

// AppendSession appends the session to dst in the form that clients of the version
// decode. Info must be JSON. In 1.2 it may be any value; later versions define it as an
// object, and their published Go clients reject anything else. If the key is empty or
// has bytes outside 32 to 126, or if a field has no JSON form, AppendSession returns dst
// unchanged and an error that wraps ErrMalformed.
func (v Version) AppendSession(dst []byte, s Session) ([]byte, error) {
	sp := v.spec()
	if sp == nil {
		return dst, ErrVersion
	}
	switch {
	case s.Key == "":
		return dst, errNoKey
	case !validName(s.Key):
		return dst, errKeyBytes
	}
	var o sessionObject
	if sp.session.early {
		o.Key, o.Created, o.Info = s.Key, &s.Created, s.Info
		if len(o.Info) == 0 {
			o.Info = json.RawMessage("null")
		}
	}
	if sp.session.late {
		o.K, o.C, o.LastSeen = s.Key, &s.Created, &s.LastSeen
		if info := bytes.TrimSpace(s.Info); !bytes.Equal(info, []byte("null")) && !bytes.Equal(info, []byte("{}")) {
			o.I = s.Info
		}
	}
	data, err := json.Marshal(o)
	if err != nil {
		return dst, fmt.Errorf("%w: session: %w", ErrMalformed, err)
	}
	return append(dst, data...), nil
}

// ParseSession decodes a session in the form of any version. The result does not alias
// b. The error wraps ErrMalformed and does not contain the key.
func ParseSession(b []byte) (Session, error) {
	var o sessionObject
	if err := json.Unmarshal(b, &o); err != nil {
		// The cause is left out: it may quote the key.
		return Session{}, malformed("session is not JSON of the expected form")
	}
	s := Session{Key: o.Key, Info: o.Info}
	created := o.Created
	if o.K != "" {
		s.Key, s.Info, created = o.K, o.I, o.C
	}
	if s.Key == "" {
		return Session{}, errNoKey
	}
	if created != nil {
		s.Created = *created
	}
	if o.LastSeen != nil {
		s.LastSeen = *o.LastSeen
	}
	if bytes.Equal(s.Info, []byte("null")) {
		s.Info = nil
	}
	return s, nil
}
