package proxies_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// The configuration in the tutorial is one that Caddy takes, and leads to the program of the
// tutorial. That of docs/proxies.md, which differs by options, runs in TestProxies.
func TestTutorialConfiguration(t *testing.T) {
	caddy, err := exec.LookPath("caddy")
	if err != nil {
		t.Skip(err)
	}
	text, err := os.ReadFile("../../../../docs/tutorial.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```caddy\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) != 1 {
		t.Fatalf("%d blocks, want one", len(blocks))
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, blocks[0][1], 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), caddy, "adapt", "--adapter", "caddyfile", "--config", file)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	out, err := cmd.Output()
	if err != nil || !bytes.Contains(out, []byte(`"host":["chat.example.com"]`)) || !bytes.Contains(out, []byte(`"dial":"localhost:8080"`)) {
		t.Errorf("%v: %s", err, out)
	}
}
