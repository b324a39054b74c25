package archtest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every block of Go code in the documentation compiles:
//
//   - one that starts with a package clause is a whole file;
//   - one of declarations becomes a file;
//   - one of statements becomes the body of a function. What it uses without
//     saying where it comes from is listed in a comment before the block, as
//     parameters: <!-- given: srv *server.Server, err error -->
//
// The latter two need no imports: packages of this module and of the standard
// library are found by their names. Comments may stand for what was left out;
// "..." may not.
func TestMarkdown(t *testing.T) {
	top := root(t)
	byModule := map[string][]block{}
	for _, name := range markdownFiles(t, top) {
		dir := moduleOf(top, name)
		byModule[dir] = append(byModule[dir], readBlocks(t, top, name)...)
	}
	if len(byModule[top]) == 0 {
		t.Fatal("the documentation has no Go code")
	}
	for dir, blocks := range byModule {
		compile(t, dir, blocks)
	}
}

// block is a block of Go code.
type block struct {
	at    string // file:line
	given string
	code  string
}

// compile compiles the blocks as packages of the module in dir. They exist in an
// overlay only.
func compile(t *testing.T, dir string, blocks []block) {
	t.Helper()
	names := packageNames(t, dir)
	tmp := t.TempDir()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	// Unlike go build, go list -export compiles programs without linking them.
	args := []string{"list", "-overlay", filepath.Join(tmp, "overlay.json"), "-export", "-f", "{{.Name}}"}
	for i, b := range blocks {
		source, err := b.file(names)
		if err != nil {
			t.Errorf("%s: %v", b.at, err)
			continue
		}
		real := filepath.Join(tmp, fmt.Sprintf("%d.go", i))
		if err := os.WriteFile(real, source, 0o644); err != nil {
			t.Fatal(err)
		}
		pkg := fmt.Sprintf("markdown%d", i)
		overlay.Replace[filepath.Join(dir, pkg, "snippet.go")] = real
		args = append(args, "./"+pkg)
	}
	data, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tmp, "overlay.json"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	command(t, dir, nil, "go", args...)
}

// file returns the block as a Go file. Errors of the compiler name the place in
// the documentation.
func (b block) file(names map[string]string) ([]byte, error) {
	line := "//line " + b.at + "\n"
	if strings.HasPrefix(strings.TrimSpace(b.code), "package ") {
		return []byte(line + b.code), nil
	}
	body := line + b.code
	file, err := parse("package snippet\n" + body)
	if err != nil {
		body = "func _(" + b.given + ") {\n" + body
		if file, err = parse("package snippet\n" + body + "}\n"); err != nil {
			return nil, fmt.Errorf("neither declarations nor statements: %w", err)
		}
		for _, v := range variables(file) {
			body += "_ = " + v + "\n"
		}
		body += "}\n"
	}
	head := "package snippet\n"
	for _, id := range slices.Sorted(maps.Keys(unresolved(file))) {
		if imp, ok := names[id]; ok && !imports(file, id) {
			head += fmt.Sprintf("import %q\n", imp)
		}
	}
	return []byte(head + body), nil
}

func parse(source string) (*ast.File, error) {
	return parser.ParseFile(token.NewFileSet(), "", source, 0)
}

// variables returns the variables that the body of the wrapping function
// declares: documentation need not use them.
func variables(file *ast.File) (names []string) {
	add := func(id *ast.Ident) {
		if id.Name != "_" && !slices.Contains(names, id.Name) {
			names = append(names, id.Name)
		}
	}
	for _, stmt := range file.Decls[len(file.Decls)-1].(*ast.FuncDecl).Body.List {
		switch s := stmt.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				for _, left := range s.Lhs {
					add(left.(*ast.Ident))
				}
			}
		case *ast.DeclStmt:
			for _, spec := range s.Decl.(*ast.GenDecl).Specs {
				if v, ok := spec.(*ast.ValueSpec); ok && s.Decl.(*ast.GenDecl).Tok == token.VAR {
					for _, id := range v.Names {
						add(id)
					}
				}
			}
		}
	}
	return names
}

// unresolved returns the names X of X.y that the file does not declare: packages.
func unresolved(file *ast.File) map[string]bool {
	free := map[*ast.Ident]bool{}
	for _, id := range file.Unresolved {
		free[id] = true
	}
	names := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok && free[id] {
				names[id.Name] = true
			}
		}
		return true
	})
	return names
}

// imports reports whether the file imports a package under that name.
func imports(file *ast.File, name string) bool {
	return slices.ContainsFunc(file.Imports, func(spec *ast.ImportSpec) bool {
		if spec.Name != nil {
			return spec.Name.Name == name
		}
		return path.Base(strings.Trim(spec.Path.Value, `"`)) == name
	})
}

// packageNames returns the import path for each name of a package that a block
// may use without importing it. Where names clash a package of the module wins, then one
// of the root module, then the one that is named here, then the shorter path.
func packageNames(t *testing.T, dir string) map[string]string {
	t.Helper()
	names := map[string]string{}
	std := strings.Fields(string(command(t, dir, nil, "go", "list", "std")))
	slices.SortStableFunc(std, func(a, b string) int { return strings.Count(b, "/") - strings.Count(a, "/") })
	all := slices.Concat(std, []string{"crypto/rand", "text/template"})
	for _, dir := range slices.Compact([]string{root(t), dir}) {
		all = append(all, strings.Fields(string(command(t, dir, nil, "go", "list", "-e", "./...")))...)
	}
	for _, imp := range all {
		if !strings.Contains(imp, "internal/") && !strings.HasPrefix(imp, "vendor/") {
			names[path.Base(imp)] = imp
		}
	}
	return names
}

// markdownFiles returns the Markdown files below dir, relative to it.
func markdownFiles(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || len(name) > 1 && d.Name()[0] == '.'):
			return fs.SkipDir
		case path.Ext(name) == ".md":
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(files, "protocol/PROTOCOL.md") {
		t.Fatal("protocol/PROTOCOL.md is missing")
	}
	return files
}

// moduleOf returns the directory of the module that the file belongs to.
func moduleOf(top, name string) string {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, err := os.Stat(filepath.Join(top, dir, "go.mod")); err == nil {
			return filepath.Join(top, dir)
		}
	}
	return top
}

var given = regexp.MustCompile(`^<!-- given: (.*) -->$`)

// readBlocks returns the blocks of a file that are marked as Go.
func readBlocks(t *testing.T, top, name string) (blocks []block) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(top, name))
	if err != nil {
		t.Fatal(err)
	}
	var (
		open *block
		code strings.Builder
		last string // line that was not empty, before the block
	)
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		trimmed := strings.TrimSpace(line)
		switch {
		case open == nil && (trimmed == "```go" || strings.HasPrefix(trimmed, "```go ")):
			open = &block{at: fmt.Sprintf("%s:%d", name, n+1)}
			if m := given.FindStringSubmatch(last); m != nil {
				open.given = m[1]
			}
		case open != nil && trimmed == "```":
			open.code = code.String()
			blocks = append(blocks, *open)
			open = nil
			code.Reset()
		case open != nil:
			code.WriteString(line + "\n")
		case trimmed != "":
			last = trimmed
		}
	}
	if open != nil {
		t.Errorf("%s: the block of code does not end", open.at)
	}
	return blocks
}
