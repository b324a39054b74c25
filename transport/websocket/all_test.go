package websocket_test

import (
	"testing"

	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/internal/wstest"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/websocket"
)

var library = wstest.Library{
	Goroutines: 1,
	Upgrader: func(u wstest.Upgrader) transport.Upgrader {
		return websocket.Upgrader{Origins: u.Origins, AcceptText: u.AcceptText}
	},
	Dialer: func(e wsnet.Endpoint) wstest.Dialer {
		return websocket.Dialer{URL: e.URL, Header: e.Header, TLS: e.TLS, Proxy: e.Proxy, NetDial: e.NetDial}
	},
}

func TestWebSocket(t *testing.T) { wstest.Run(t, library) }
