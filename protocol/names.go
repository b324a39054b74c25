package protocol

import "sync/atomic"

// A name that Parse returns is a string of its own, which outlives the message. Peers
// repeat a few names over and over, so the last name of each place in this table is
// kept: repeated ones cost a comparison instead of an allocation. Names that share a
// place replace one another, and a peer that makes up names costs an allocation each.
// The table holds at most 256 names of 255 bytes.
var names [256]atomic.Pointer[string]

// nameString returns name as a string.
func nameString(name []byte) string {
	n := len(name)
	if n == 0 {
		return ""
	}
	// Names mostly differ in their length, at their end or in the middle.
	place := &names[uint8(31*n)^name[0]^name[n-1]<<3^name[n/2]<<5]
	if known := place.Load(); known != nil && *known == string(name) {
		return *known
	}
	s := string(name)
	place.Store(&s)
	return s
}
