package natsengine

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/webwire-go/webwire/engine"
)

// maxToken is the length above which a name is replaced by its hash: subjects are
// indexed by NATS in memory.
const maxToken = 200

// token returns a name as one token of a NATS subject: letters, digits, "_" and "-"
// stay, other bytes are "=XX". A long one is "=h" and its SHA-256, which no other
// name can be.
func token(name string) string {
	const digits = "0123456789ABCDEF"
	others := 0
	for i := range len(name) {
		if !plain(name[i]) {
			others++
		}
	}
	if len(name)+2*others > maxToken {
		sum := sha256.Sum256([]byte(name))
		return "=h" + hex.EncodeToString(sum[:])
	}
	if others == 0 {
		return name
	}
	b := make([]byte, 0, len(name)+2*others)
	for i := range len(name) {
		if c := name[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '=', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

func plain(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '_' || c == '-'
}

// isToken reports whether s can be the name of an application or class.
func isToken(s string) bool {
	for i := range len(s) {
		if !plain(s[i]) {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// subjects are the NATS subjects of an application:
//
//	ww.<app>.t.<name>              live publications
//	ww.<app>.log.<class>.<name>    stored, and then published on ww.<app>.t.<name>
//	ww.<app>.n.<node>              questions to a node
//	ww.<app>.hb                    heartbeats of all nodes
//	ww.<app>.kv.s.<hash>           sessions
//	ww.<app>.kv.n.<node>           nodes, for whoever cleans up after them
//	ww.<app>.kv.p.<node>.<name>    presence
type subjects string

func (s subjects) live(name string) string { return string(s) + "t." + token(name) }
func (s subjects) log(class, name string) string {
	return string(s) + "log." + class + "." + token(name)
}
func (s subjects) inbox(id engine.NodeID) string { return string(s) + "n." + id.String() }
func (s subjects) heartbeats() string            { return string(s) + "hb" }
func (s subjects) session(hash [32]byte) string {
	return string(s) + "kv.s." + hex.EncodeToString(hash[:])
}
func (s subjects) nodeRecord(id engine.NodeID) string { return string(s) + "kv.n." + id.String() }
func (s subjects) presenceOf(id engine.NodeID) string { return string(s) + "kv.p." + id.String() + "." }
func (s subjects) presence(id engine.NodeID, name string) string {
	return s.presenceOf(id) + token(name)
}
