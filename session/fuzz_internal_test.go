package session

import (
	"bytes"
	"crypto/sha256"
	"testing"
	"time"
)

// Whatever a session's file contains is refused, or a session whose record says the same.
// The sum is right in half of them: otherwise nothing behind it would be looked at.
func FuzzRecord(f *testing.F) {
	hash := sha256.Sum256([]byte("key"))
	for _, s := range []Session{
		{},
		{Created: time.Unix(1, 2), LastSeen: time.Unix(3, 4), Info: []byte(`{"a":"\n"}`)},
	} {
		data, err := encodeRecord(hash, s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, false)
		f.Add(data[bytes.IndexByte(data, '\n')+1:], true)
	}
	f.Add([]byte(recordFormat), false)
	f.Add([]byte("null\n"), true)
	f.Add([]byte(`{"created":"9999-12-31T23:59:59.999999999+23:59"}`), true)
	f.Fuzz(func(t *testing.T, data []byte, signed bool) {
		if signed {
			data = append(recordHead(hash, data), data...)
		}
		s, err := decodeRecord(hash, data)
		if err != nil {
			return
		}
		again, err := encodeRecord(hash, s)
		if err != nil {
			t.Fatalf("%q is %+v, which has no record: %v", data, s, err)
		}
		same, err := decodeRecord(hash, again)
		if err != nil || !same.Created.Equal(s.Created) || !same.LastSeen.Equal(s.LastSeen) || !bytes.Equal(same.Info, s.Info) {
			t.Fatalf("%q is %+v, which becomes %+v, %v", data, s, same, err)
		}
	})
}
