module github.com/webwire-go/webwire/transport/coder

go 1.25

replace github.com/webwire-go/webwire => ../..

require (
	github.com/coder/websocket v1.8.15
	github.com/webwire-go/webwire v0.0.0-00010101000000-000000000000
)
