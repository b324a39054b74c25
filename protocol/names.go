package protocol

import "sync/atomic"

// names is a cache of recently parsed names. Parse copies names, because they outlive
// the message, and peers repeat a few names over and over: a cached name costs a
// comparison instead of an allocation. Names in the same place replace one another. The
// cache holds at most 256 names of 255 bytes.
var names [256]atomic.Pointer[string]

// nameString returns name as a string.
func nameString(name []byte) string {
	n := len(name)
	if n == 0 {
		return ""
	}
	// Names usually differ in their length, at their end or in the middle.
	place := &names[uint8(31*n)^name[0]^name[n-1]<<3^name[n/2]<<5]
	if known := place.Load(); known != nil && *known == string(name) {
		return *known
	}
	s := string(name)
	place.Store(&s)
	return s
}
