package gobwas_test

import (
	"testing"

	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/internal/wstest"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/gobwas"
	"github.com/webwire-go/webwire/transport/transporttest/rfc6455"
)

var suite = wstest.Library{
	Upgrader: func(u wstest.Upgrader) transport.Upgrader {
		return gobwas.Upgrader{Origins: u.Origins, AcceptText: u.AcceptText}
	},
	Dialer: func(e wsnet.Endpoint) wstest.Dialer {
		return gobwas.Dialer{URL: e.URL, Header: e.Header, TLS: e.TLS, Proxy: e.Proxy, NetDial: e.NetDial}
	},
	Differences: map[string]rfc6455.Difference{
		"text that is not UTF-8": {Reason: "to WebWire text is the bytes it consists of, and its published clients send any"},
	},
}

func TestGobwas(t *testing.T) { wstest.Run(t, suite) }
