package coder_test

import (
	"testing"

	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/internal/wstest"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/coder"
	"github.com/webwire-go/webwire/transport/transporttest/rfc6455"
)

var suite = wstest.Library{
	Upgrader: func(u wstest.Upgrader) transport.Upgrader {
		return coder.Upgrader{Origins: u.Origins, AcceptText: u.AcceptText}
	},
	Dialer: func(e wsnet.Endpoint) wstest.Dialer {
		return coder.Dialer{URL: e.URL, Header: e.Header, TLS: e.TLS, Proxy: e.Proxy, NetDial: e.NetDial}
	},
	Differences: map[string]rfc6455.Difference{
		"short length in 16 bits":               {Reason: lengths},
		"short length in 64 bits":               {Reason: lengths},
		"16-bit length in 64 bits":              {Reason: lengths},
		"ping with a length in 16 bits":         {Reason: lengths},
		"text that is not UTF-8":                {Reason: "to WebWire text is the bytes it consists of, and its published clients send any"},
		"close with a reason that is not UTF-8": {Reason: "the library does not check; the reason is for logs"},
		"message with a mask":                   {Reason: masks},
		"empty message with a mask":             {Reason: masks},
		"ping with a mask":                      {Reason: masks},
		"close with a mask":                     {Reason: masks},
	},
}

const (
	lengths = "the library does not check; the message is the same"
	masks   = "the library's client does not check; masks protect servers and what is before them"
)

func TestCoder(t *testing.T) { wstest.Run(t, suite) }
