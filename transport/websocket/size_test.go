package websocket

import (
	"testing"
	"unsafe"
)

// A server may have a hundred thousand idle connections. 480 bytes are a size of the
// allocator, the next is 512.
func TestSize(t *testing.T) {
	if size := unsafe.Sizeof(conn{}); unsafe.Sizeof(size) == 8 && size > 480 {
		t.Errorf("a connection has %d bytes", size)
	}
}
