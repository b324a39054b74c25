// Package memory connects two ends inside one process. It is the transport of
// tests, simulations and benchmarks, and of programs that are client and server
// at once.
//
// [Pipe] returns two connected ends; a [Listener] is both a transport.Listener
// for a server and the transport.Dialer for its clients:
//
//	listener := memory.Listen()
//	go serve(listener)
//	conn, err := listener.Dial(ctx)
//
// A connection behaves as one over a network does: messages are copied, 64 KiB
// fit between the ends in each direction, a longer message waits until it is
// read, and a peer that does not read, or falls silent, costs the connection.
// Nothing is ever lost or late by itself, and no goroutine runs for it.
//
// It blocks on channels and timers only, so it works inside the bubbles of
// testing/synctest if Pipe or Dial is called there.
package memory
