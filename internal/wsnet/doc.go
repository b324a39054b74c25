// Package wsnet is the handshake of WebSocket around the library that speaks it: the two
// ways to get a network connection, and what has to hold before there is one.
//
//   - [Accept] prepares the server's side: it checks the origin, chooses the protocol
//     and is the http.ResponseWriter of the library, whose answer it writes to the
//     connection that it took out of net/http before.
//   - [Endpoint] prepares the client's side: Open returns an HTTP client for the library,
//     and Probe asks for metadata.
//   - [Bare] is the connection after either handshake. The library does not have it.
package wsnet
