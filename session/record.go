package session

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A record is the content of a session's file:
//
//	webwire-session 1 <SHA-256, 64 hex digits>\n
//	{"created":<time>,"lastSeen":<time>}\n
//	<info, as it is>
//
// The sum covers the hash of the session's key and everything after the first line, so it
// detects truncated, altered and renamed files. It is not a signature: whoever can write
// to the directory can forge sessions.
const recordFormat = "webwire-session 1 "

type recordTimes struct {
	Created  time.Time `json:"created"`
	LastSeen time.Time `json:"lastSeen"`
}

func encodeRecord(hash [sha256.Size]byte, s Session) ([]byte, error) {
	body, err := json.Marshal(recordTimes{storable(s.Created), storable(s.LastSeen)})
	if err != nil {
		return nil, fmt.Errorf("encode times: %w", err)
	}
	body = append(body, '\n')
	body = append(body, s.Info...)
	return append(recordHead(hash, body), body...), nil
}

// decodeRecord returns the session without its key; Info aliases data.
func decodeRecord(hash [sha256.Size]byte, data []byte) (Session, error) {
	if !bytes.HasPrefix(data, []byte(recordFormat)) {
		return Session{}, errors.New("unknown format")
	}
	end := bytes.IndexByte(data, '\n')
	if end < 0 {
		return Session{}, errors.New("cut off")
	}
	head, body := data[:end+1], data[end+1:]
	if !bytes.Equal(head, recordHead(hash, body)) {
		return Session{}, errors.New("checksum does not match")
	}
	line, info, _ := bytes.Cut(body, []byte{'\n'})
	var times recordTimes
	if err := json.Unmarshal(line, &times); err != nil {
		return Session{}, fmt.Errorf("decode times: %w", err)
	}
	s := Session{Created: times.Created, LastSeen: times.LastSeen}
	if len(info) > 0 {
		s.Info = info
	}
	return s, nil
}

func recordHead(hash [sha256.Size]byte, body []byte) []byte {
	sum := sha256.New()
	sum.Write(hash[:])
	sum.Write(body)
	head := []byte(recordFormat)
	head = hex.AppendEncode(head, sum.Sum(nil))
	return append(head, '\n')
}
