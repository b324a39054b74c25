package fire_test

import (
	"net"
	"syscall"
	"unsafe"
)

// queued returns the number of bytes that the system has accepted on a socket and the peer
// has not acknowledged.
func queued(conn *net.TCPConn) (n int32, ok bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&n)))
		ok = errno == 0
	})
	return n, ok && err == nil
}
