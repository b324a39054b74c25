package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestThisRepository(t *testing.T) {
	for _, found := range check("../../..", "") {
		t.Error(found)
	}
}

// files are a repository that can be released as 1.2.3. It needs no network.
func files() map[string]string {
	return map[string]string{
		"client/js/package.json":      `{"version": "1.2.3"}`,
		"client/js/package-lock.json": `{"version": "1.2.3", "packages": {"": {"version": "1.2.3"}}}`,
		"client/js/README.md":         "Install it.\n",
		"docs/install.md":             "Install it.\n",
		"README.md":                   "Released.\n",
		"CHANGELOG.md":                "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2027-01-02\n",
		"go.mod":                      "module github.com/webwire-go/webwire\n\ngo 1.25.0\n",
		"root.go":                     "package webwire\n",
		"internal/x/x.go":             "package x\n",
		"otel/go.mod":                 nested("otel", ".."),
		"otel/otel.go":                "package otel\n\nimport _ \"github.com/webwire-go/webwire\"\n",
		"engine/nats/go.mod":          nested("engine/nats", "../.."),
		"engine/nats/nats.go":         "package nats\n\nimport _ \"github.com/webwire-go/webwire\"\n",
	}
}

func nested(path, root string) string {
	return "module github.com/webwire-go/webwire/" + path + "\n\ngo 1.25.0\n\nrequire github.com/webwire-go/webwire v1.2.3\n\n" +
		"replace github.com/webwire-go/webwire => " + root + "\n"
}

func TestCheck(t *testing.T) {
	t.Setenv("GOFLAGS", "")
	t.Setenv("GOPROXY", "off")
	for _, c := range []struct {
		name    string
		version string
		change  map[string]string
		want    string // part of what is found, "" for nothing
	}{
		{"ready", "1.2.3", nil, ""},
		{"at any commit", "", nil, ""},
		{"another version", "1.2.4", nil, "client/js/package.json: the version is 1.2.3, not 1.2.4"},
		{"no version", "1.2", nil, `"1.2" is no version`},
		{"lock", "", map[string]string{"client/js/package-lock.json": `{"version": "1.2.3", "packages": {"": {"version": "1.2.2"}}}`}, "package-lock.json: the version is not 1.2.3"},
		{"no section", "1.2.3", map[string]string{"CHANGELOG.md": "# Changelog\n\n## [Unreleased]\n"}, "there is no section [1.2.3]"},
		{"no next section", "", map[string]string{"CHANGELOG.md": "# Changelog\n"}, "there is no section [Unreleased]"},
		{"denied", "1.2.3", map[string]string{"README.md": "It is not released yet.\n"}, "README.md: it says that nothing is released yet"},
		{"denied between releases", "", map[string]string{"README.md": "It is not released yet.\n"}, ""},
		{"requires another", "1.2.3", map[string]string{"otel/go.mod": strings.Replace(nested("otel", ".."), "v1.2.3", "v0.0.0", 1)}, "otel/go.mod: it requires github.com/webwire-go/webwire v0.0.0, not v1.2.3"},
		{"replaces", "", map[string]string{"go.mod": "module github.com/webwire-go/webwire\n\ngo 1.25.0\n\nreplace example.com/x => ../x\n"}, "go.mod: it replaces example.com/x"},
		{"path", "", map[string]string{"otel/go.mod": nested("metrics", "..")}, "otel/go.mod: the path is"},
		{"untidy", "", map[string]string{"otel/otel.go": "package otel\n"}, "otel/go.mod: it is not tidy"},
		{"internal", "", map[string]string{"engine/nats/nats.go": "package nats\n\nimport _ \"github.com/webwire-go/webwire/internal/x\"\n"}, "engine/nats/go.mod: a package imports"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			all := files()
			maps.Copy(all, c.change)
			for name, text := range all {
				path := filepath.Join(dir, filepath.FromSlash(name))
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			found := check(dir, c.version)
			if c.want == "" && len(found) > 0 || c.want != "" && !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, c.want) }) {
				t.Errorf("it found %q, want %q", found, c.want)
			}
		})
	}
}
