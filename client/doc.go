// Package client is the client side of WebWire: requests and replies, signals both
// ways, a session that survives the connection, and a connection that one can
// forget about.
//
//	c := client.New(&websocket.Dialer{URL: "ws://localhost:8080"}, client.Options{})
//	defer c.Close()
//	reply, err := c.Request(ctx, "echo", protocol.Text("hello"))
//
// The client connects when it is first used, notices when the connection is lost,
// connects again and restores its session. A [Client.Request] waits for the
// connection; one that was in flight when the connection was lost fails with a
// [*DisconnectedError], which says whether the server may have executed it, and is
// never sent twice. [Call] is Request with JSON on both sides. [Hooks] tell of
// signals, sessions and connections.
//
// How messages travel is the dialer's business: see transport/websocket,
// transport/stream and transport/memory.
package client
