// Package webwire is the overview of WebWire, a duplex messaging library on top of
// WebSockets with an open binary protocol. It contains no code; the library consists of
// the packages below it.
//
// A client and a server exchange requests, replies, streams and signals over one lasting
// connection; clients subscribe to topics. A connection outlives its socket: requests in flight
// are executed once and answered when the client comes back. A client that needs a new
// connection gets back the session that the server created for it.
//
// # Packages
//
// Most programs import the first three:
//
//   - [github.com/webwire-go/webwire/server] accepts connections and calls handlers;
//   - [github.com/webwire-go/webwire/client] connects, and connects again when the
//     connection is lost;
//   - [github.com/webwire-go/webwire/transport/websocket] carries their messages over
//     WebSockets, [github.com/webwire-go/webwire/transport/stream] over any byte
//     stream, and [github.com/webwire-go/webwire/transport/memory] inside one process;
//   - [github.com/webwire-go/webwire/session] stores sessions in memory or in files;
//   - [github.com/webwire-go/webwire/protocol] is the codec, which depends on the
//     standard library alone and can be vendored by itself;
//   - [github.com/webwire-go/webwire/transport] declares what a transport must do;
//   - [github.com/webwire-go/webwire/engine] is what several servers share to act as one, with
//     the engine of one process;
//   - [github.com/webwire-go/webwire/webwiretest] helps to test programs that use WebWire.
//
// Modules of their own are engine/nats, the engine of several processes, and otel, traces and
// metrics with OpenTelemetry. The command cmd/webwire tries, measures and inspects servers.
//
// The suites transport/transporttest, session/sessiontest and engine/enginetest check
// transports, session stores and engines of your own.
//
// # Errors
//
// Every request has exactly one outcome. An error that a handler returns as a
// *protocol.Error reaches the caller as it is; any other error of a handler is logged
// and the caller gets protocol.ErrInternal. Errors of the client say whether the request
// may have been executed.
//
// # Protocol
//
// The file protocol/PROTOCOL.md specifies every version of the protocol. The JavaScript
// client in client/js speaks the same versions.
package webwire
