// Package interop is the contract by which implementations of WebWire are tried
// against one another: a server that behaves as the contract says, and a client
// that goes through all of it. Both speak any published version, over any
// transport.
//
// The commands contractserver and contractclient are the two ends for other
// implementations; the tests of this package let ours meet each other.
package interop
