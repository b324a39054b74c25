package websocket_test

import (
	"testing"

	"github.com/webwire-go/webwire/internal/check/wstest"
	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/transporttest/rfc6455"
	"github.com/webwire-go/webwire/transport/websocket"
)

var suite = wstest.Library{
	Upgrader: func(u wstest.Upgrader) transport.Upgrader {
		return websocket.Upgrader{Origins: u.Origins, AcceptText: u.AcceptText}
	},
	Dialer: func(e wsnet.Endpoint) wstest.Dialer {
		return websocket.Dialer{URL: e.URL, Header: e.Header, TLS: e.TLS, Proxy: e.Proxy, NetDial: e.NetDial}
	},
	Differences: map[string]rfc6455.Difference{
		"text that is not UTF-8": {Reason: "to WebWire text is the bytes it consists of, and its published clients send any"},
	},
}

func TestWebSocket(t *testing.T) { wstest.Run(t, suite) }
