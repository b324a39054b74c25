// Package port reserves ports for tests whose servers begin, end and begin again, and for
// clients of servers that are not there.
//
//	addr := port.Reserve(t) // 127.0.0.1:41234
//	// Nobody listens at addr: a connection is refused.
//	ln, err := net.Listen("tcp", addr)
//
// A test that needs one listener at any address listens at port 0 instead.
package port

import "testing"

// Reserve returns an address of the loopback interface at which nobody listens. Until the
// test ends the system gives its port neither to a listener that asks for any port nor to an
// outgoing connection, and a program may listen at it, repeatedly.
func Reserve(t testing.TB) string {
	t.Helper()
	addr, release, err := reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return addr
}
