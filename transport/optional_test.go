package transport_test

import (
	"net"
	"testing"

	"github.com/webwire-go/webwire/transport"
)

// bottom is a connection that has one optional interface.
type bottom struct{ transport.Conn }

func (bottom) Buffered() bool { return true }

// plain wraps a connection and has no optional interface.
type plain struct{ inner transport.Conn }

func (p plain) Unwrap() transport.Conn             { return p.inner }
func (plain) Read([]byte) ([]byte, error)          { return nil, net.ErrClosed }
func (plain) Write(...[]byte) error                { return net.ErrClosed }
func (plain) Ping() error                          { return net.ErrClosed }
func (plain) Close(transport.Status, string) error { return nil }
func (plain) Abort() error                         { return nil }
func (plain) Protocol() string                     { return "" }
func (plain) LocalAddr() net.Addr                  { return &net.UnixAddr{} }
func (plain) RemoteAddr() net.Addr                 { return &net.UnixAddr{} }

// hiding wraps a connection and answers in its place.
type hiding struct{ plain }

func (hiding) Buffered() bool { return false }

// embedding wraps a connection and cannot be unwrapped.
type embedding struct{ transport.Conn }

func TestAs(t *testing.T) {
	for _, c := range []struct {
		name          string
		conn          transport.Conn
		found, answer bool
	}{
		{"itself", bottom{}, true, true},
		{"wrapped", plain{bottom{}}, true, true},
		{"wrapped twice", plain{plain{bottom{}}}, true, true},
		{"the outermost counts", hiding{plain{bottom{}}}, true, false},
		{"behind the outermost", plain{hiding{plain{bottom{}}}}, true, false},
		{"none", plain{plain{plain{}}}, false, false},
		{"wraps nothing", plain{}, false, false},
		{"cannot be unwrapped", embedding{bottom{}}, false, false},
		{"nil", nil, false, false},
	} {
		p, ok := transport.As[transport.Peeker](c.conn)
		if ok != c.found || ok && p.Buffered() != c.answer {
			t.Errorf("%s: %#v, %t", c.name, p, ok)
		}
		if _, ok := transport.As[transport.TextAccepter](c.conn); ok {
			t.Errorf("%s: a TextAccepter where there is none", c.name)
		}
	}
	if b, ok := transport.As[bottom](plain{bottom{}}); !ok || !b.Buffered() {
		t.Error("a concrete type is not found")
	}
}
