// Package wsnet is what WebSocket adapters share below the library that speaks
// the protocol: the network connection and the two ways to get one.
//
// WebSocket libraries bound what a peer may do with contexts, locks and timers
// of their own, and none of them bounds everything: a peer that stalls inside a
// frame, stops reading or sends empty frames for ever holds some call of most
// of them. All of that passes through the network connection, so that is where
// the limits are, once for every library: a library is given a [Conn] and never
// a context that ends.
//
//   - [Conn] is a network connection under guard. It ends reads and writes that
//     take too long, ends everything at a final moment once it is closing, limits
//     how much may arrive for one message, and holds frames back so that
//     those of a batch leave in one system call.
//   - [Accept] prepares the server's side of a handshake: it checks the origin,
//     chooses the protocol and hands the library a Conn when it hijacks.
//   - [Endpoint] prepares the client's side: Open returns an HTTP client that
//     gives the library a Conn when the server switches protocols, and Probe
//     asks for metadata.
//   - [Bare] is the connection of either handshake without the guard, for the
//     adapter that has no library between itself and the frames.
package wsnet
