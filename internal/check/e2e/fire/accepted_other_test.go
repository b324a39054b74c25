//go:build !linux

package fire_test

import "net"

// queued is known on Linux only.
func queued(*net.TCPConn) (n int32, ok bool) { return 0, false }
