package coder_test

import (
	"testing"

	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/internal/wstest"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/coder"
)

var library = wstest.Library{
	Upgrader: func(u wstest.Upgrader) transport.Upgrader {
		return coder.Upgrader{Origins: u.Origins, AcceptText: u.AcceptText}
	},
	Dialer: func(e wsnet.Endpoint) wstest.Dialer {
		return coder.Dialer{URL: e.URL, Header: e.Header, TLS: e.TLS, Proxy: e.Proxy, NetDial: e.NetDial}
	},
}

func TestCoder(t *testing.T) { wstest.Run(t, library) }
