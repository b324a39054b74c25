package server

import (
	"testing"
	"unsafe"
)

// A server may have a hundred thousand idle connections. 384 bytes are a size of the
// allocator, the next is 416. It may have a million members of topics.
func TestSize(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("sizes are those of 64 bits")
	}
	for _, c := range []struct {
		what       string
		size, most uintptr
	}{
		{"a Conn", unsafe.Sizeof(Conn{}), 384},
		{"a member of a topic", unsafe.Sizeof(member{}), 64},
		{"a topic", unsafe.Sizeof(topic{}), 256},
	} {
		if c.size > c.most {
			t.Errorf("%s has %d bytes", c.what, c.size)
		}
	}
}
