// Package e2e holds the tests of everything together: clients and servers that talk
// over real sockets, and the examples as real processes.
package e2e
