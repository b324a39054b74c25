// Package tutorial holds the tests that do what docs say, in an empty directory beside a clone:
// the commands of docs/install.md, the programs of docs/tutorial.md in its order, whose output
// they compare, and the tests of docs/testing.md.
package tutorial
