// Package proxies holds the tests of the configurations in docs/proxies.md: each proxy that
// is installed is run with its configuration between a client and a server.
package proxies
