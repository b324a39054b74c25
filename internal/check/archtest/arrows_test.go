package archtest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	module    = "github.com/webwire-go/webwire"
	webSocket = "nhooyr.io/websocket"
	xSync     = "golang.org/x/sync/..."
)

// arrows are the imports that packages of the root module may have beside the
// standard library. A package that is in no row is an error: whoever adds one
// decides what it may import. Paths are relative to the module, or those of
// third parties; "/..." stands for what is below.
var arrows = []struct {
	pkg string
	may []string
}{
	{".", nil}, // the overview
	{"protocol", nil},

	{"transport", []string{"protocol"}},
	{"transport/memory", []string{"transport"}},
	{"transport/stream", []string{"transport", "internal/framed"}},
	{"transport/websocket", []string{"transport", "internal/framed", "internal/wsnet", webSocket}},
	{"transport/transporttest", []string{"transport"}},
	{"transport/transporttest/rfc6455", []string{"transport"}},
	{"internal/framed", []string{"transport"}},
	{"internal/wsnet", []string{"transport"}},

	{"session", []string{"protocol"}},
	{"session/sessiontest", []string{"session"}},

	{"engine", []string{"session"}},
	{"engine/enginetest", []string{"engine"}},

	{"internal/invariant", nil},
	{"internal/outbox", []string{"protocol", "transport", "internal/invariant"}},
	{"internal/tasks", []string{"internal/invariant"}},
	{"internal/link", []string{"protocol", "transport", "internal/outbox", "internal/tasks", "internal/invariant"}},
	{"internal/manners", []string{"protocol"}},
	{"internal/mux", nil},
	{"internal/logs", nil},
	{"server", []string{"protocol", "transport", "session", "engine", "internal/link", "internal/outbox", "internal/tasks", "internal/mux", "internal/logs", "internal/manners", xSync}},
	{"client", []string{"protocol", "transport", "session", "internal/link", "internal/tasks", "internal/mux", "internal/logs", "internal/manners", xSync}},

	{"webwiretest", []string{"transport", "server", "client", "transport/memory", "transport/transporttest"}},

	{"internal/check/sim", []string{"protocol", "transport", "session", "server", "client", "transport/memory", "transport/transporttest"}},

	{"client/js", nil},

	{"internal/check/archtest", nil},
	{"internal/check/port", nil},
	{"internal/check/messages", nil},
	{"internal/check/release", nil},
	{"internal/check/wstest", []string{everything}},
	{"internal/check/interop/...", []string{everything}},
	{"internal/check/e2e/...", []string{everything}},
	{"examples/...", []string{everything}},
	{"cmd/...", []string{everything}},
}

const everything = "*"

// listed is what go list says about a package.
type listed struct {
	ImportPath   string
	Imports      []string
	Deps         []string // of Imports, and so on
	TestImports  []string
	XTestImports []string
}

func TestArrows(t *testing.T) {
	packages := list(t)
	for _, row := range arrows {
		if !strings.HasSuffix(row.pkg, "/...") && !slices.ContainsFunc(packages, func(p listed) bool { return relative(p.ImportPath) == row.pkg }) {
			t.Errorf("%s is in the table of arrows, but there is no such package", row.pkg)
		}
	}
	for _, p := range packages {
		may, known := allowed(relative(p.ImportPath))
		if !known {
			t.Errorf("%s is in no row of the table of arrows", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			if !standard(imp) && !slices.ContainsFunc(may, matches(relative(imp))) {
				t.Errorf("%s imports %s: the table of arrows does not allow it", p.ImportPath, imp)
			}
		}
	}
}

// What users rely on, said again in their terms: a mistake in the table must not
// go unnoticed.
func TestPromises(t *testing.T) {
	for _, p := range list(t) {
		pkg := relative(p.ImportPath)
		for _, dep := range p.Deps {
			switch {
			case pkg == "protocol" && !standard(dep):
				t.Errorf("protocol depends on %s", dep)
			case (pkg == "server" || pkg == "client") && !standard(dep) && !matches(relative(dep))(xSync) &&
				(relative(dep) == dep || strings.HasPrefix(relative(dep), "transport/")):
				t.Errorf("%s depends on %s: no library but x/sync, and no transport", pkg, dep)
			case pkg == "server" && relative(dep) == "client", pkg == "client" && relative(dep) == "server":
				t.Errorf("%s depends on %s", pkg, dep)
			}
		}
		for _, imp := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if imp == webSocket && pkg != "transport/websocket" {
				t.Errorf("%s imports %s: only transport/websocket may", p.ImportPath, imp)
			}
			if pkg == "protocol" && !standard(imp) && relative(imp) != "protocol" {
				t.Errorf("the tests of protocol import %s", imp)
			}
		}
	}
}

func list(t *testing.T) []listed {
	t.Helper()
	// Nested modules have rules of their own.
	out := command(t, root(t), []string{"GOWORK=off"}, "go", "list", "-e", "-json=ImportPath,Imports,Deps,TestImports,XTestImports", "./...")
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 2 {
		t.Fatalf("go list found %d packages", len(all))
	}
	return all
}

func allowed(pkg string) (may []string, known bool) {
	for _, row := range arrows {
		if matches(pkg)(row.pkg) {
			return row.may, true
		}
	}
	return nil, false
}

// matches returns whether a pattern of the table covers path.
func matches(path string) func(pattern string) bool {
	return func(pattern string) bool {
		if below, ok := strings.CutSuffix(pattern, "/..."); ok {
			return path == below || strings.HasPrefix(path, below+"/")
		}
		return pattern == path || pattern == everything
	}
}

func relative(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

// standard reports whether path is of the standard library: the first element
// of all others has a dot.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// root returns the directory of the root module.
func root(t *testing.T) string {
	t.Helper()
	dir := string(bytes.TrimSpace(command(t, ".", []string{"GOWORK=off"}, "go", "list", "-m", "-f", "{{.Dir}}")))
	if dir == "" {
		t.Fatal("the tests do not run in a module")
	}
	return dir
}

// command returns what the command prints, and ends the test if it fails.
func command(t *testing.T, dir string, env []string, name string, args ...string) []byte {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes()
}
