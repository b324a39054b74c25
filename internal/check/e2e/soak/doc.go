// Package soak puts load on real sockets and takes away what the load depends on:
// connections are reset, servers go away and are replaced. Each test prints one line
// with its figures, and fails if they miss the bar.
//
// In full, a few minutes: make soak. In short, as a part of make test, each takes
// seconds.
package soak
