//go:build !unix

package load

// RaiseFiles does nothing: there is no such limit.
func RaiseFiles() {}
