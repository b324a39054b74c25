// Package client is the client side of WebWire: requests and replies, signals in both
// directions, and a session that survives the connection. The client looks after the
// connection itself.
//
//	c := client.New(&websocket.Dialer{URL: "ws://localhost:8080"}, client.Options{})
//	defer c.Close()
//	reply, err := c.Request(ctx, "echo", protocol.Text("hello"))
//
// The client connects when it is first used, notices when the connection is lost,
// connects again and restores its session. [Client.Request] waits for the connection. A
// request in flight when the connection is lost fails with a [*DisconnectedError]; it is
// never sent twice. [MaybeExecuted] reports whether the server may have executed a
// request that failed. [Call] is Request with JSON on both sides. [Hooks] are called for
// signals, sessions and connections; a [Mux] chooses a handler by the name of a signal.
//
// The dialer decides how messages travel: see transport/websocket, transport/stream and
// transport/memory.
package client
