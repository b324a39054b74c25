// Package wsnet does the part of the WebSocket handshake that surrounds the WebSocket
// library: it obtains the network connection and checks what must hold before there is one.
//
//   - [Accept] prepares the server's side. It checks the origin and chooses the protocol. Its
//     result is the http.ResponseWriter for the library; it takes the connection from
//     net/http first and writes the library's answer to it.
//   - [Endpoint] prepares the client's side: Open returns an HTTP client for the library,
//     and Probe requests the metadata.
//   - [Bare] is the network connection after either handshake. The library does not use it.
package wsnet
