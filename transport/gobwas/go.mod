module github.com/webwire-go/webwire/transport/gobwas

go 1.26

require (
	github.com/gobwas/ws v1.5.0
	github.com/webwire-go/webwire v0.0.0
)

replace github.com/webwire-go/webwire => ../..
