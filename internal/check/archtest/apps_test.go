package archtest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The three small apps stay small: fewer than 150 lines of Go and JavaScript each, without imports,
// comments, empty lines and tests. What the dashboard plots is invented by a file of its own.
func TestSmallApps(t *testing.T) {
	for app, patterns := range map[string][]string{
		"dashboard": {"main.go", "web/*.js"},
		"fleet":     {"*.go"},
		"list":      {"*.go", "page/*.js"},
	} {
		lines := 0
		for _, pattern := range patterns {
			files, err := filepath.Glob(filepath.Join(root(t), "examples", app, pattern))
			if err != nil || len(files) == 0 {
				t.Fatalf("%s: %d files %s, %v", app, len(files), pattern, err)
			}
			for _, file := range files {
				if strings.HasSuffix(file, "_test.go") {
					continue
				}
				source, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				lines += linesOfCode(source)
			}
		}
		t.Logf("%s: %d lines", app, lines)
		if lines >= 150 {
			t.Errorf("%s has %d lines", app, lines)
		}
	}
}

// linesOfCode counts the lines of a file, as said above.
func linesOfCode(source []byte) (n int) {
	importing := false
	for line := range bytes.Lines(source) {
		text := strings.TrimSpace(string(line))
		switch {
		case text == "import (":
			importing = true
		case importing:
			importing = text != ")"
		case text == "", strings.HasPrefix(text, "//"), strings.HasPrefix(text, "package "), strings.HasPrefix(text, "import "):
		default:
			n++
		}
	}
	return n
}
