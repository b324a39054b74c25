package archtest_test

import (
	"os"
	"path/filepath"
	"testing"
)

// Whoever needs nothing but the codec may copy its directory. The copy gets its
// import path from a go.mod of its own, for its tests are those of a user; with
// GOPROXY=off it can have no dependencies.
func TestProtocolAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root(t), "protocol"))); err != nil {
		t.Fatal(err)
	}
	mod := []byte("module " + module + "/protocol\n\ngo 1.25\n")
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), mod, 0o644); err != nil {
		t.Fatal(err)
	}
	env := []string{"GOFLAGS=-mod=mod", "GOWORK=off", "GOPROXY=off"}
	command(t, dir, env, "go", "vet", "./...")
	command(t, dir, env, "go", "test", "-short", "./...")
}
