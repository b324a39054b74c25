module github.com/webwire-go/webwire/transport/coder

go 1.25

replace github.com/webwire-go/webwire => ../..
