package port_test

import (
	"errors"
	"net"
	"runtime"
	"syscall"
	"testing"

	"github.com/webwire-go/webwire/internal/check/port"
)

// A connection to a reserved port is refused, servers may listen at it one after another, and
// nobody gets it by chance.
func TestReserve(t *testing.T) {
	addr := port.Reserve(t)
	refused := func() {
		t.Helper()
		if conn, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial: %v, %v", conn, err)
		}
	}
	for range 3 {
		refused()
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		ln.Close()
	}
	refused()
}

// A listener that wants any port does not get a reserved one.
func TestReservedIsNotGiven(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("ports cannot be reserved")
	}
	reserved := map[string]bool{}
	for range 100 {
		addr := port.Reserve(t)
		if reserved[addr] {
			t.Fatalf("%s was reserved twice", addr)
		}
		reserved[addr] = true
	}
	for range 2000 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		if reserved[ln.Addr().String()] {
			t.Fatalf("%s is reserved, and was given to a listener", ln.Addr())
		}
	}
}
