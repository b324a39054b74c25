//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package session

import (
	"context"
	"os"
)

// Without flock a directory has one FileStore at a time, whose operations exclude
// each other anyway.

func lock(context.Context, *os.File) error { return nil }

func unlock(*os.File) {}
