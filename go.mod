module github.com/webwire-go/webwire

go 1.25

require (
	golang.org/x/sync v0.19.0
	nhooyr.io/websocket v1.8.17
)
