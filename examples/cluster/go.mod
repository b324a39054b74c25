// The example runs NATS servers, which users of the root module need not have.
module github.com/webwire-go/webwire/examples/cluster

go 1.26.0

require (
	github.com/nats-io/nats-server/v2 v2.15.2
	github.com/webwire-go/webwire v0.0.0
	github.com/webwire-go/webwire/engine/nats v0.0.0
)

require (
	github.com/antithesishq/antithesis-sdk-go v0.8.0-default-no-op // indirect
	github.com/google/go-tpm v0.9.8 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/minio/highwayhash v1.0.4 // indirect
	github.com/nats-io/jwt/v2 v2.8.2 // indirect
	github.com/nats-io/nats.go v1.55.0 // indirect
	github.com/nats-io/nkeys v0.4.16 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sync v0.19.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/time v0.16.0 // indirect
	nhooyr.io/websocket v1.8.17 // indirect
)

replace (
	github.com/webwire-go/webwire => ../..
	github.com/webwire-go/webwire/engine/nats => ../../engine/nats
)
