// Package fire holds servers and clients against hostile peers, misuse and exhausted
// resources. Each test prints its figures as
//
//	figure: row = value (bar …)
//
// In full, about ten minutes: make soak. In short, as a part of make test, each takes a
// second or less and asserts only what does not depend on the machine. docs/reliability.md
// has the table of one whole run.
package fire
