// Package archtest holds the tests of what the repository promises as a whole:
// which package may import which, that protocol can be taken along alone, and
// that the Go code in the documentation compiles.
package archtest
