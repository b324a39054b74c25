package server

import (
	"testing"
	"unsafe"
)

// A server may have a hundred thousand idle connections. 384 bytes are a size of the
// allocator, the next is 416. It may have a million members of topics.
func TestSize(t *testing.T) {
	if size := unsafe.Sizeof(Conn{}); unsafe.Sizeof(size) == 8 && size > 384 {
		t.Errorf("a Conn has %d bytes", size)
	}
	if size := unsafe.Sizeof(member{}); unsafe.Sizeof(uintptr(0)) == 8 && size > 64 {
		t.Errorf("a member of a topic has %d bytes", size)
	}
	if size := unsafe.Sizeof(topic{}); unsafe.Sizeof(uintptr(0)) == 8 && size > 256 {
		t.Errorf("a topic has %d bytes", size)
	}
}
