// Package sessions holds the tests of sessions as a whole: a server, its store and
// hooks, and clients that create, lose, restore and close sessions.
package sessions
