package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

const rootModule = "github.com/webwire-go/webwire"

// modules are the modules that are tagged, with the prefix of their tags.
var modules = []struct{ dir, path, tag string }{
	{".", rootModule, ""},
	{"otel", rootModule + "/otel", "otel/"},
	{"engine/nats", rootModule + "/engine/nats", "engine/nats/"},
}

// check returns what is in the way of a release. Without a version that is what is wrong
// at any commit.
func check(root, version string) (found []string) {
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }

	npm, err := npmVersion(root)
	switch {
	case err != nil:
		add("%v", err)
	case version == "" && !semantic.MatchString(npm):
		add("client/js/package.json: %q is no version", npm)
	case version != "" && npm != version:
		add("client/js/package.json: the version is %s, not %s", npm, version)
	}
	if version != "" && !semantic.MatchString(version) {
		add("%q is no version", version)
	}
	for _, text := range changelog(root, version) {
		add("%s", text)
	}
	for _, m := range modules {
		for _, text := range checkModule(root, m.dir, m.path, version) {
			add("%s: %s", filepath.ToSlash(filepath.Join(m.dir, "go.mod")), text)
		}
	}
	return found
}

var semantic = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`)

// npmVersion returns the version of package.json, which package-lock.json repeats.
func npmVersion(root string) (string, error) {
	var pkg struct{ Version string }
	var lock struct {
		Version  string
		Packages map[string]struct{ Version string }
	}
	for name, into := range map[string]any{"package.json": &pkg, "package-lock.json": &lock} {
		data, err := os.ReadFile(filepath.Join(root, "client", "js", name))
		if err != nil {
			return "", err
		}
		if err := json.Unmarshal(data, into); err != nil {
			return "", fmt.Errorf("client/js/%s: %w", name, err)
		}
	}
	if lock.Version != pkg.Version || lock.Packages[""].Version != pkg.Version {
		return "", fmt.Errorf("client/js/package-lock.json: the version is not %s: npm install --package-lock-only", pkg.Version)
	}
	return pkg.Version, nil
}

// changelog checks that there is a section for what changes next, or for the version, and
// that the README does not deny the release.
func changelog(root, version string) (found []string) {
	data, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		return []string{err.Error()}
	}
	if version == "" {
		if !strings.Contains(string(data), "\n## [Unreleased]\n") {
			found = append(found, "CHANGELOG.md: there is no section [Unreleased]")
		}
		return found
	}
	if !regexp.MustCompile(`\n## \[` + regexp.QuoteMeta(version) + `\] - \d{4}-\d{2}-\d{2}\n`).Match(data) {
		found = append(found, fmt.Sprintf("CHANGELOG.md: there is no section [%s] with a date", version))
	}
	for _, name := range []string{"README.md", "client/js/README.md", "docs/install.md"} {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			found = append(found, err.Error())
		} else if regexp.MustCompile(`(?i)\bnot released yet\b`).Match(text) {
			found = append(found, name+": it says that nothing is released yet")
		}
	}
	return found
}

// modFile is what go mod edit -json prints.
type modFile struct {
	Module  struct{ Path string }
	Go      string
	Require []struct{ Path, Version string }
	Replace []struct {
		Old, New struct{ Path, Version string }
	}
	Exclude []struct{ Path string }
}

// checkModule checks the go.mod of a module that is tagged. Whoever requires the module
// does not see its replace directives.
func checkModule(root, dir, path, version string) (found []string) {
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	abs := filepath.Join(root, filepath.FromSlash(dir))
	out, err := run(abs, "go", "mod", "edit", "-json")
	if err != nil {
		return []string{err.Error()}
	}
	var mod modFile
	if err := json.Unmarshal([]byte(out), &mod); err != nil {
		return []string{err.Error()}
	}
	if mod.Module.Path != path {
		add("the path is %s, not %s", mod.Module.Path, path)
	}
	if len(mod.Exclude) > 0 {
		add("it excludes modules, which has no effect for others")
	}
	for _, r := range mod.Replace {
		if path == rootModule || r.Old.Path != rootModule {
			add("it replaces %s, which has no effect for others", r.Old.Path)
		}
	}
	for _, r := range mod.Require {
		if r.Path != rootModule && !strings.HasPrefix(r.Path, rootModule+"/") {
			continue
		}
		if version != "" && r.Version != "v"+version {
			add("it requires %s %s, not v%s", r.Path, r.Version, version)
		}
	}
	if diff, err := run(abs, "go", "mod", "tidy", "-diff"); err != nil {
		add("it is not tidy: %v\n%s", err, diff)
	}
	if path == rootModule {
		return found
	}
	// A consumer may combine any version of it with any of the root's.
	imports, err := run(abs, "go", "list", "-f", `{{join .Imports "\n"}}{{"\n"}}{{join .TestImports "\n"}}{{"\n"}}{{join .XTestImports "\n"}}`, "./...")
	if err != nil {
		add("%v", err)
	}
	for _, imp := range strings.Fields(imports) {
		if strings.HasPrefix(imp, rootModule+"/internal/") {
			add("a package imports %s", imp)
		}
	}
	return found
}

// run returns what a command prints, run outside of the workspace.
func run(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), err
}
