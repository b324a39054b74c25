// Package server is the server side of WebWire: it answers requests, sends and
// receives signals, and keeps sessions that outlive connections.
//
//	var mux server.Mux
//	mux.Request("echo", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
//		return r.Payload, nil
//	})
//	srv := server.New(server.Options{
//		Upgrader: &websocket.Upgrader{},
//		Handler:  &mux,
//	})
//	http.ListenAndServe(":8080", srv)
//
// A [Server] is an http.Handler that makes connections of HTTP requests with its
// Upgrader, see transport/websocket. A connection outlives its request: what handlers
// need of the request is chosen by Options.ConnContext. Connections that come another way are served by
// [Server.Serve] and [Server.ServeConn], see transport/stream and transport/memory.
//
// # Handlers
//
// [Hooks] say what the server does. A [RequestHandler] returns the payload of the
// reply, or an error: a *protocol.Error reaches the client as it is, any other is
// logged, and the client learns only that the server failed. A [Mux] chooses handlers
// by the name of a request or signal and puts middleware around them; [JSON] makes a
// handler of a function with JSON on both sides.
//
// Requests of a connection are handled concurrently, its signals one after the other
// in their order; [Hooks] has the exact rules. Where messages of one connection follow
// one another within microseconds, and the handlers take no longer, the goroutine that
// reads them calls the handlers itself, because that costs less than to hand them over.
// A handler that takes longer after all holds up the messages behind it for two
// milliseconds at most; then they are handled beside it. A handler that panics costs
// its client an error and nobody else anything.
//
// # Connections
//
// A [Conn] is a client's connection: [Conn.Signal] sends it a signal,
// [Conn.CreateSession] gives it a session. [Server.Conns] and [Server.SessionConns]
// list connections, and [Broadcast] sends a signal to all of a list without waiting
// for any.
//
// What waits on a connection is bounded, see Options.OutboxSize and InboxSize. A
// client that sends too fast is read no further until its messages are handled. One
// that does not read holds up whoever sends to it and waits, and is cut off when a
// write takes too long, or when there is no room for what cannot wait: a broadcast.
//
// # The end
//
// [Server.Shutdown] lets handlers finish and sends their replies before it closes the
// connections; [Server.BeginShutdown] begins that and does not wait; [Server.Close] does
// not wait for handlers either. None knows the http.Server around them, which is shut
// down as well. [Conn.Close] ends one connection, and its status tells the client
// whether to come back.
package server
