// Package client is the client side of WebWire: requests and replies, streams, signals in both
// directions, topics, and a session that survives the connection. The client looks after the
// connection itself.
//
//	c := client.New(websocket.Dialer{URL: "ws://localhost:8080"}, client.Options{})
//	defer c.Close()
//	reply, err := c.Request(ctx, "echo", protocol.Text("hello"))
//
// # Connections
//
// The client connects when it is first used, detects a lost connection, connects again and
// restores its session. With servers of 3.0 a connection outlives its socket: the client goes on
// with another socket, and requests in flight get their replies; see Hooks.OnAway. If that is
// not possible, and with older servers, a request in flight fails with a [*DisconnectedError].
//
// # Calls
//
// [Client.Request] waits for the connection and for the reply. A request is executed at most
// once; [MaybeExecuted] reports whether the server may have executed one that failed. [Call] is
// Request with JSON on both sides. [Client.Stream] and [CallStream] iterate over the items of a
// streamed reply. [Client.Signal] sends what has no reply.
//
// [Client.Subscribe] subscribes to a topic. The subscription lasts until it is closed, across
// connections, and continues after the last message it has.
//
// # Hooks and handlers
//
// [Hooks] are called for signals, sessions and connections. The server also sends requests:
// a [Handler] answers them, and signals; a [Mux] is one that chooses functions by name.
//
// The dialer decides how messages travel: see transport/websocket, transport/stream and
// transport/memory. Streams, topics and requests of the server need protocol 3.0, which client
// and server agree on by themselves.
package client
