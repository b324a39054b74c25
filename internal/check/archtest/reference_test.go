package archtest_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/printer"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/transport"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/reference.md")

// options are the structs whose fields docs/reference.md lists.
var options = []struct{ pkg, name string }{
	{"server", "Options"},
	{"server", "EndpointOptions"},
	{"server", "Hooks"},
	{"server", "TopicOptions"},
	{"client", "Options"},
	{"client", "Hooks"},
	{"client", "SubscribeOptions"},
	{"transport", "Limits"},
	{"transport/websocket", "Upgrader"},
	{"transport/websocket", "Dialer"},
	{"transport/stream", "Dialer"},
	{"session", "MemoryStore"},
	{"session", "FileStoreOptions"},
	{"engine", "Memory"},
	{"engine/nats", "Options"},
	{"engine/nats", "Class"},
	{"otel", "Options"},
}

// jsOptions are the interfaces of the JavaScript client whose members docs/reference.md lists.
var jsOptions = []string{"ClientOptions", "CallOptions", "RequestOptions", "SubscribeOptions"}

// The tables of docs/reference.md are made from the code: fields of structs with what
// their comments say about the zero value, options of the JavaScript client, and the close
// statuses. After a change:
//
//	go test ./internal/check/archtest -run TestReference -update
func TestReference(t *testing.T) {
	top := root(t)
	file := filepath.Join(top, "docs", "reference.md")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]string{"statuses": statusTable(t, top)}
	for _, o := range options {
		tables[o.pkg+"."+o.name] = optionTable(t, top, o.pkg, o.name)
	}
	for _, name := range jsOptions {
		tables["js."+name] = jsTable(t, top, name)
	}
	text := string(data)
	for name, table := range tables {
		begin, end := "<!-- table: "+name+" -->\n", "<!-- end -->\n"
		before, rest, ok := strings.Cut(text, begin)
		if !ok {
			t.Errorf("docs/reference.md has no line %s", begin)
			continue
		}
		old, after, ok := strings.Cut(rest, end)
		if !ok {
			t.Fatalf("the table %s does not end", name)
		}
		if old != table && !*update {
			t.Errorf("the table %s of docs/reference.md is not that of the code; run this test with -update. It should be\n%s", name, table)
		}
		text = before + begin + table + end + after
	}
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// pkg returns the syntax of a package without its tests.
func pkg(t *testing.T, top, dir string) (*token.FileSet, []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(top, dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	if len(files) == 0 {
		t.Fatalf("there is no package in %s", dir)
	}
	return set, files
}

// specs calls f for each declared type, constant and variable.
func specs(files []*ast.File, f func(decl *ast.GenDecl, spec ast.Spec)) {
	for _, file := range files {
		for _, decl := range file.Decls {
			if gen, ok := decl.(*ast.GenDecl); ok {
				for _, spec := range gen.Specs {
					f(gen, spec)
				}
			}
		}
	}
}

// zero finds where a comment says what the zero value means; it ends with that.
var zero = regexp.MustCompile(`(?:^|[.;:] )(?:Zero|Nil|Empty|False|zero|nil): `)

// required are fields without a useful zero value.
var required = []string{"transport/websocket.Dialer.URL", "transport/stream.Dialer.Address", "engine/nats.Class.Name"}

// optionTable returns the exported fields of a struct: name and type, the first sentence of
// the comment, and what the zero value means.
func optionTable(t *testing.T, top, dir, name string) string {
	t.Helper()
	set, files := pkg(t, top, dir)
	var table strings.Builder
	table.WriteString("| field | what it is | left zero |\n| --- | --- | --- |\n")
	rows := 0
	specs(files, func(_ *ast.GenDecl, spec ast.Spec) {
		typ, ok := spec.(*ast.TypeSpec)
		if !ok || typ.Name.Name != name {
			return
		}
		for _, field := range typ.Type.(*ast.StructType).Fields.List {
			comment := words(field.Doc.Text() + field.Comment.Text())
			for _, id := range field.Names {
				if !id.IsExported() {
					continue
				}
				rows++
				path := dir + "." + name + "." + id.Name
				first, left := split(comment, id.Name)
				left = values(t, top, dir, left)
				_, hook := field.Type.(*ast.FuncType)
				switch {
				case left != "":
				case slices.Contains(required, path):
					left = "required"
				case name == "Hooks" && hook:
					left = "nothing is called"
				default:
					t.Errorf("the comment of %s does not say at its end what the zero value means: %q", path, comment)
				}
				if first == "" {
					t.Errorf("%s has no comment", path)
				}
				fmt.Fprintf(&table, "| `%s` `%s` | %s | %s |\n", id.Name, typeText(set, field.Type), first, left)
			}
		}
	})
	if rows == 0 {
		t.Errorf("%s.%s has no fields", dir, name)
	}
	return table.String()
}

// split returns the first sentence of a comment that begins with the name, or else the
// first, and what the comment says about the zero value.
func split(comment, name string) (first, left string) {
	first = comment
	if all := zero.FindAllStringIndex(comment, -1); len(all) > 0 {
		last := all[len(all)-1]
		first, left = comment[:last[0]], comment[last[1]:]
	}
	if _, own, ok := strings.Cut(first, ". "+name+" "); ok {
		first = name + " " + own
	}
	first, _, _ = strings.Cut(first, ". ")
	clean := strings.NewReplacer("|", `\|`, "[", "", "]", "", "<", "&lt;").Replace
	return clean(strings.TrimSuffix(first, ".")), clean(strings.TrimSuffix(left, "."))
}

// defaultName is the name of a constant that is a default.
var defaultName = regexp.MustCompile(`(?:(\w+)\.)?(Default[A-Z]\w*)`)

// values puts the values of constants into what a comment of a package says about zero.
func values(t *testing.T, top, dir, text string) string {
	return defaultName.ReplaceAllStringFunc(text, func(name string) string {
		m := defaultName.FindStringSubmatch(name)
		from := dir
		if m[1] != "" {
			from = m[1]
		}
		set, files := pkg(t, top, from)
		value := ""
		specs(files, func(decl *ast.GenDecl, spec ast.Spec) {
			if v, ok := spec.(*ast.ValueSpec); ok && decl.Tok == token.CONST && v.Names[0].Name == m[2] {
				value = literal(t, set, m[2], v.Values[0])
			}
		})
		if value == "" { // a function
			return name
		}
		return value + ", `" + name + "`"
	})
}

// literal returns the value of a constant as one writes it: 30 s, 4 MiB.
func literal(t *testing.T, set *token.FileSet, name string, expr ast.Expr) string {
	t.Helper()
	source := typeText(set, expr)
	isTime := strings.Contains(source, "time.")
	for unit, d := range map[string]time.Duration{"time.Second": time.Second, "time.Minute": time.Minute, "time.Hour": time.Hour} {
		source = strings.ReplaceAll(source, unit, strconv.FormatInt(int64(d), 10))
	}
	result, err := types.Eval(token.NewFileSet(), nil, token.NoPos, source)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	n, _ := constant.Int64Val(result.Value)
	type unit struct {
		size int64
		name string
	}
	units := []unit{{1 << 20, "MiB"}, {1 << 10, "KiB"}}
	if isTime {
		units = []unit{{int64(24 * time.Hour), "days"}, {int64(time.Hour), "h"}, {int64(time.Minute), "min"}, {int64(time.Second), "s"}}
	}
	for _, u := range units {
		if n%u.size == 0 {
			return fmt.Sprintf("%d %s", n/u.size, u.name)
		}
	}
	return strconv.FormatInt(n, 10)
}

// member is a member of an interface with the comment before it.
var member = regexp.MustCompile(`(?s)(?:/\*\*((?:[^*]|\*[^/])*)\*/\s*)?\n  (\w+)\?: ([^\n]*);`)

// jsTable returns the members of an interface of the JavaScript client: name and type, the
// first sentence of the comment, and the default.
func jsTable(t *testing.T, top, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(top, "client", "js", "src", "index.d.ts"))
	if err != nil {
		t.Fatal(err)
	}
	body := regexp.MustCompile(`(?s)\nexport interface ` + name + ` [^\n]*\{(\n.*?)\n\}\n`).FindSubmatch(data)
	if body == nil {
		t.Fatalf("index.d.ts has no interface %s", name)
	}
	members := member.FindAllStringSubmatch(string(body[1]), -1)
	if n := strings.Count(string(body[1]), "?: "); len(members) == 0 || len(members) != n {
		t.Errorf("%s has %d members, of which %d are found", name, n, len(members))
	}
	var table strings.Builder
	table.WriteString("| option | what it is | default |\n| --- | --- | --- |\n")
	clean := strings.NewReplacer("|", `\|`, "{@link ", "`", "}", "`", "<", "&lt;").Replace
	comment := ""
	for _, m := range members {
		if m[1] != "" { // otherwise that of the member before
			comment = words(strings.ReplaceAll(m[1], "\n   *", "\n"))
		}
		first, byDefault, _ := strings.Cut(comment, "Default: ")
		for choice := range strings.SplitSeq(comment, " - ") {
			if value, about, ok := strings.Cut(choice, ":"); ok && strings.Contains(about, "The default.") {
				byDefault = value
			}
		}
		first, _, _ = strings.Cut(first, ". ")
		if first == "" {
			t.Errorf("%s.%s has no comment", name, m[2])
		}
		typ := strings.ReplaceAll(strings.TrimSuffix(m[3], " | undefined"), "|", `\|`)
		fmt.Fprintf(&table, "| `%s` `%s` | %s | %s |\n", m[2], typ, clean(strings.TrimRight(first, ". ")), clean(strings.TrimSuffix(byDefault, ".")))
	}
	return table.String()
}

func words(text string) string { return strings.Join(strings.Fields(text), " ") }

// typeText returns a type as it stands in the code, a function as "func".
func typeText(set *token.FileSet, typ ast.Expr) string {
	if _, ok := typ.(*ast.FuncType); ok {
		return "func"
	}
	var b strings.Builder
	if err := printer.Fprint(&b, set, typ); err != nil {
		return err.Error()
	}
	return b.String()
}

// statusTable returns the constants of transport.Status.
func statusTable(t *testing.T, top string) string {
	t.Helper()
	_, files := pkg(t, top, "transport")
	var table strings.Builder
	table.WriteString("| status | name | what it says | a client comes back |\n| ---: | --- | --- | --- |\n")
	rows := 0
	specs(files, func(decl *ast.GenDecl, spec ast.Spec) {
		value, ok := spec.(*ast.ValueSpec)
		if !ok || decl.Tok != token.CONST || len(value.Values) != 1 || !strings.HasPrefix(value.Names[0].Name, "Status") {
			return
		}
		lit, ok := value.Values[0].(*ast.BasicLit)
		if !ok {
			return
		}
		n, err := strconv.ParseUint(lit.Value, 10, 16)
		if err != nil {
			t.Error(err)
		}
		rows++
		back := "yes"
		if transport.Status(n).Final() {
			back = "no"
		}
		fmt.Fprintf(&table, "| %d | `%s` | %s | %s |\n", n, value.Names[0].Name, words(value.Comment.Text()), back)
	})
	if rows < 10 {
		t.Errorf("%d statuses", rows)
	}
	return table.String()
}

// Every log record of server, client and engine/nats is in docs/logging.md.
func TestLogRecords(t *testing.T) {
	top := root(t)
	data, err := os.ReadFile(filepath.Join(top, "docs", "logging.md"))
	if err != nil {
		t.Fatal(err)
	}
	records := 0
	for _, dir := range []string{"server", "client"} {
		_, files := pkg(t, top, dir)
		for _, file := range files {
			ast.Inspect(file, func(n ast.Node) bool {
				lit, ok := n.(*ast.BasicLit)
				if !ok || !strings.HasPrefix(lit.Value, `"webwire: `) {
					return true
				}
				record, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Error(err)
				}
				records++
				// Some are composed of this, a name and the rest.
				if record != "webwire: " && !strings.Contains(string(data), "`"+record+"`") {
					t.Errorf("docs/logging.md does not list `%s` of package %s", record, dir)
				}
				return true
			})
		}
	}
	// The records of the engine, whose errors have the same prefix.
	_, files := pkg(t, top, "engine/nats")
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			lit, isText := call.Args[0].(*ast.BasicLit)
			if !ok || !isText || !slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, method.Sel.Name) {
				return true
			}
			record, err := strconv.Unquote(lit.Value)
			if err != nil {
				return true // a number
			}
			records++
			if !strings.Contains(string(data), "| "+strings.ToUpper(method.Sel.Name)+" | `"+record+"` |") {
				t.Errorf("docs/logging.md does not list `%s` of engine/nats", record)
			}
			return true
		})
	}
	if records < 25 {
		t.Errorf("%d records", records)
	}
}

// Every error value and error type that a program can meet is in docs/errors.md, those of the
// JavaScript client included.
func TestErrorsAreDocumented(t *testing.T) {
	top := root(t)
	data, err := os.ReadFile(filepath.Join(top, "docs", "errors.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"client", "server", "protocol", "session", "transport", "engine"} {
		_, files := pkg(t, top, dir)
		var names []string
		specs(files, func(decl *ast.GenDecl, spec ast.Spec) {
			switch s := spec.(type) {
			case *ast.ValueSpec:
				for _, id := range s.Names {
					if decl.Tok == token.VAR && strings.HasPrefix(id.Name, "Err") || decl.Tok == token.CONST && strings.HasPrefix(id.Name, "Code") {
						names = append(names, id.Name)
					}
				}
			case *ast.TypeSpec:
				if s.Name.IsExported() && strings.HasSuffix(s.Name.Name, "Error") {
					names = append(names, s.Name.Name)
				}
			}
		})
		if len(names) == 0 {
			t.Errorf("%s has no errors", dir)
		}
		slices.Sort(names)
		for _, name := range names {
			if !regexp.MustCompile("`[&*]?" + dir + `\.` + name + "[`{]").Match(data) {
				t.Errorf("docs/errors.md does not have %s.%s", dir, name)
			}
		}
	}
	types, err := os.ReadFile(filepath.Join(top, "client", "js", "src", "index.d.ts"))
	if err != nil {
		t.Fatal(err)
	}
	classes := regexp.MustCompile(`export class (\w+) extends (?:WebWire|Failure)Error`).FindAllSubmatch(types, -1)
	if len(classes) < 10 {
		t.Errorf("the JavaScript client has %d errors", len(classes))
	}
	for _, class := range classes {
		if !strings.Contains(string(data), "| `"+string(class[1])+"` |") {
			t.Errorf("docs/errors.md does not have the error %s of the JavaScript client", class[1])
		}
	}
}

// Every exported name of a public package has a comment.
func TestDocComments(t *testing.T) {
	top := root(t)
	dirs := []string{"otel", "engine/nats"} // modules of their own
	for _, p := range list(t) {
		dirs = append(dirs, relative(p.ImportPath))
	}
	for _, dir := range dirs {
		if strings.Contains(dir, "internal/") || strings.HasPrefix(dir, "examples") || strings.HasPrefix(dir, "cmd") || dir == "client/js" {
			continue
		}
		set, files := pkg(t, top, dir)
		missing := func(pos token.Pos, name string) { t.Errorf("%s: %s has no comment", set.Position(pos), name) }
		if !slices.ContainsFunc(files, func(f *ast.File) bool { return f.Doc != nil }) {
			t.Errorf("package %s has no comment", dir)
		}
		specs(files, func(decl *ast.GenDecl, spec ast.Spec) {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && decl.Doc == nil && s.Doc == nil && s.Comment == nil {
					missing(s.Pos(), s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, id := range s.Names {
					// The constants of a type are explained by the type.
					ofType := decl.Tok == token.CONST && decl.Lparen.IsValid() && (s.Type != nil || len(s.Values) == 0)
					if id.IsExported() && decl.Doc == nil && s.Doc == nil && s.Comment == nil && !ofType {
						missing(id.Pos(), id.Name)
					}
				}
			}
		})
		for _, file := range files {
			for _, decl := range file.Decls {
				f, ok := decl.(*ast.FuncDecl)
				if ok && f.Name.IsExported() && f.Doc == nil && !conventional(f) && exportedReceiver(f) {
					missing(f.Pos(), f.Name.Name)
				}
			}
		}
	}
}

// conventional reports whether the name of a method says all: everybody knows it.
func conventional(f *ast.FuncDecl) bool {
	return f.Recv != nil && slices.Contains([]string{"Error", "Unwrap", "Is", "As", "String", "GoString", "LogValue", "Timeout", "Temporary"}, f.Name.Name)
}

// exportedReceiver reports whether f is no method, or one of an exported type.
func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	typ := f.Recv.List[0].Type
	for {
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.Ident:
			return t.IsExported()
		default:
			return false
		}
	}
}
