// Package memory connects two ends inside one process. It is the transport for tests,
// simulations and benchmarks, and for programs that are both client and server.
//
// A [Listener] is the transport.Listener of a server and the transport.Dialer of its
// clients. Its connections negotiate a protocol as those over a network do:
//
//	listener := memory.Listen()
//	go serve(listener)
//	conn, err := listener.Dial(ctx, transport.DialOptions{})
//
// [Pipe] returns two connected ends that negotiate nothing.
//
// A connection behaves like one over a network. Messages are copied. In each direction the
// connection buffers 64 KiB; a longer message is handed over when it is read. A peer that
// stops reading, or is silent for too long, ends the connection with a timeout. The connection
// itself neither loses nor delays messages, and has no goroutines.
//
// The package blocks only on channels and timers, so it can be used in the bubbles of
// testing/synctest if Listen, Dial, Accept and Pipe are called in the bubble.
package memory
