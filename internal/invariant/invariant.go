// Package invariant checks what must hold inside this module whatever peers and users
// do, such as that no count is negative. The checks run in builds with the race
// detector, as those of the tests are; in others they cost nothing.
package invariant

// Check panics with what if ok is false and Enabled is true.
func Check(ok bool, what string) {
	if Enabled && !ok {
		panic("webwire: internal error: " + what)
	}
}
