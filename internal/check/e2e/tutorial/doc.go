// Package tutorial holds the test that does what docs/tutorial.md says: it copies the
// programs out of the text, builds them, and compares what they print.
package tutorial
