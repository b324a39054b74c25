// Package fire holds servers and clients against hostile peers, misuse and exhausted
// resources. In full, about ten minutes and TestEverythingForLong: make soak. In short, as
// a part of make test, each test takes a second or less. docs/reliability.md has the table
// of one whole run.
package fire
