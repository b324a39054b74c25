// Package server is the server side of WebWire: it answers requests, also with streams, sends
// and receives signals, publishes on topics, sends requests to clients, and keeps sessions that
// outlive connections.
//
//	var mux server.Mux
//	mux.Request("echo", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
//		return r.Payload, nil
//	})
//	srv := server.New(server.Options{
//		Upgrader: websocket.Upgrader{},
//		Handler:  &mux,
//	})
//	http.ListenAndServe(":8080", srv)
//
// A [Server] is an http.Handler that turns HTTP requests into connections with its
// Upgrader, see transport/websocket. A connection outlives its request;
// Options.ConnContext chooses the values that handlers get from the request. Other
// transports are served with [Server.Serve] and [Server.ServeConn], see transport/stream
// and transport/memory.
//
// # Handlers
//
// A [Handler] handles requests and signals. A [Mux] is one: it chooses functions by the
// name of a request or signal and puts middleware around them. [JSON] and [JSONSignal]
// make handlers of functions that take JSON, [JSONStream] one that answers with a stream of
// items. [Hooks] are called when something else happens.
//
// A [RequestHandler] returns the payload of the reply, or an error. A *protocol.Error
// reaches the client as it is. Any other error is logged, and the client learns only that
// the server failed. A handler that panics answers the same error and affects nothing
// else.
//
// Requests of one connection are handled concurrently, and its signals one after the
// other, in order; [Hooks] has the exact rules. If messages of a connection follow one
// another within microseconds and handlers return as quickly, the goroutine that reads
// them calls the handlers itself. A handler that then takes longer delays the messages
// behind it for at most two milliseconds, after which they are handled concurrently.
//
// # Connections
//
// A [Conn] is the connection of a client. [Conn.Signal] sends it a signal,
// [Conn.SetValue] stores the application's data with it, and [Conn.CreateSession] gives it
// a session. [Conn.Request] and [Call] send a request to the client. [Server.Conns] and
// [Server.SessionConns] list connections, and [Broadcast] sends a signal to a list of them
// without waiting for any.
//
// A connection of 3.0 outlives its socket. If the client comes back within
// Options.ResumeWindow, the connection goes on with another socket: handlers go on, their
// replies reach the client, and signals arrive once and in order. Hooks.OnClientAway and
// OnClientBack are called when a connection has lost its socket and when it has another one.
//
// The queues of a connection are bounded, see Options.OutboxSize and InboxSize. A client
// that sends too fast is not read until its messages are handled. A client that does not
// read blocks callers of Conn.Signal; it is disconnected when a write makes no
// progress for WriteTimeout and nothing arrives either, or when a broadcast finds its outbox
// full.
//
// Hooks.OnClientConnected refuses a connection by returning an error, Options.MaxConns
// limits their number.
//
// # Topics
//
// [Server.Topic] returns a topic. What [Topic.Publish] publishes reaches all members, on all
// nodes that share Options.Engine. Connections become members by [Topic.Join], or because the
// client subscribes and Hooks.OnSubscribe allows it. Options.Topics gives a topic a history, for
// subscribers that were away, and presence.
//
// # Shutdown
//
// [Server.Shutdown] lets handlers finish and sends their replies before it closes the
// connections. [Server.BeginShutdown] starts the same and returns. [Server.Close] drops
// the connections without waiting. Shut the http.Server around the server down as well.
// [Conn.Close] ends one connection; its status tells the client whether to come back.
package server
