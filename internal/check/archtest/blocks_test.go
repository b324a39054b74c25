package archtest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tested says which test runs, compiles or compares the blocks of a language, and in which files.
// Blocks elsewhere are an error: code that no test reads does not stay right.
var tested = map[string]struct {
	test  string
	files string // a regular expression
}{
	"go":      {"TestMarkdown here compiles them", `.`},
	"sh":      {"TestShellBlocks here checks their commands", `.`},
	"js":      {"test/docs.test.js, readme.test.js and fakeserver.test.js in client/js run them", `^(client/js/README|docs/(testing|topics|web))\.md$`},
	"jsx":     {"test/docs.test.js and readme.test.js in client/js", `^(client/js/README|docs/web)\.md$`},
	"html":    {"test/docs.test.js and readme.test.js in client/js", `^(client/js/README|docs/web)\.md$`},
	"console": {"TestDocumentation of cmd/webwire runs them", `^docs/command\.md$`},
	"text":    {"TestTutorial of internal/check/e2e/tutorial compares them", `^docs/tutorial\.md$`},
	"nginx":   {"internal/check/e2e/proxies runs them", `^docs/proxies\.md$`},
	"haproxy": {"internal/check/e2e/proxies runs them", `^docs/proxies\.md$`},
	"caddy":   {"internal/check/e2e/proxies runs them", `^docs/(proxies|tutorial)\.md$`},
	"systemd": {"TestSystemdUnit here", `^docs/operations\.md$`},
	"json":    {"document_test.go of protocol", `^protocol/PROTOCOL\.md$`},
	"":        {"none: a diagram, a list of files", `^(README|examples/chatroom/README)\.md$`},
}

func TestBlocksAreTested(t *testing.T) {
	top := root(t)
	for _, name := range markdownFiles(t, top) {
		for _, b := range fences(t, top, name) {
			if by, ok := tested[b.language]; !ok || !regexp.MustCompile(by.files).MatchString(name) {
				t.Errorf("%s:%d: no test reads a block of %q here", name, b.line, b.language)
			}
		}
	}
}

// A unit of systemd has the sections and settings that systemd knows, and gives Server.Run the time
// that it takes to shut down.
func TestSystemdUnit(t *testing.T) {
	known := map[string]string{
		"[Unit]": "Description Wants After",
		"[Service]": "ExecStart DynamicUser StateDirectory WorkingDirectory Restart RestartSec TimeoutStopSec " +
			"LimitNOFILE MemoryMax Environment",
		"[Install]": "WantedBy",
	}
	top, units := root(t), 0
	for _, b := range fences(t, top, "docs/operations.md") {
		if b.language != "systemd" {
			continue
		}
		units++
		section, stop := "", 0
		for line := range strings.Lines(b.text) {
			line = strings.TrimSpace(line)
			key, value, ok := strings.Cut(line, "=")
			switch {
			case known[line] != "":
				section = line
			case line == "":
			case !ok || !slices.Contains(strings.Fields(known[section]), key):
				t.Errorf("docs/operations.md: %s has no %q", section, line)
			case key == "TimeoutStopSec":
				stop, _ = strconv.Atoi(value)
			}
		}
		if stop <= 30 {
			t.Errorf("docs/operations.md: the unit gives the program %d seconds to shut down; Server.Run waits for 30", stop)
		}
	}
	if units != 1 {
		t.Errorf("%d units", units)
	}
}

// The commands in blocks of shell exist: targets of make, packages, flags and scripts. Those of the
// tutorial and of docs/install.md also run, in internal/check/e2e/tutorial.
func TestShellBlocks(t *testing.T) {
	top := root(t)
	n := 0
	for _, name := range markdownFiles(t, top) {
		for _, b := range fences(t, top, name) {
			if b.language != "sh" {
				continue
			}
			for line := range strings.Lines(b.text) {
				line, _, _ = strings.Cut(line, " # ")
				for one := range strings.SplitSeq(line, "&&") {
					n++
					if words := strings.Fields(one); len(words) > 0 {
						if wrong := checkCommand(top, name, words); wrong != "" {
							t.Errorf("%s:%d: %s: %s", name, b.line, strings.TrimSpace(one), wrong)
						}
					}
				}
			}
		}
	}
	if n < 30 {
		t.Errorf("only %d commands", n)
	}
}

// checkCommand returns what is wrong with a command in a file, if anything.
func checkCommand(top, file string, words []string) string {
	has := func(path ...string) bool {
		_, err := os.Stat(filepath.Join(append([]string{top}, path...)...))
		return err == nil
	}
	switch name, args := words[0], words[1:]; name {
	case "make":
		makefile, err := os.ReadFile(filepath.Join(top, "Makefile"))
		if err != nil || !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(args[0])+`:.*## `).Match(makefile) {
			return "the Makefile has no target " + args[0]
		}
		for _, arg := range args[1:] {
			if variable, _, _ := strings.Cut(arg, "="); !strings.Contains(string(makefile), "$("+variable+")") {
				return "the Makefile has no variable " + variable
			}
		}
	case "go":
		return checkGo(top, file, args, has)
	case "npm":
		dir := "client/js"
		if args[0] == "--prefix" {
			dir, args = strings.TrimPrefix(args[1], "../webwire/"), args[2:]
		}
		switch args[0] {
		case "install", "pack":
			if !strings.HasSuffix(args[1], "/client/js") {
				return "it takes another package"
			}
		case "ci":
			if !has(dir, "package-lock.json") {
				return dir + " has no package-lock.json"
			}
		case "run", "test":
			script := args[len(args)-1]
			data, err := os.ReadFile(filepath.Join(top, dir, "package.json"))
			var manifest struct{ Scripts map[string]string }
			if err != nil || json.Unmarshal(data, &manifest) != nil || manifest.Scripts[script] == "" {
				return dir + " has no script " + script
			}
		default:
			return "unknown"
		}
	case "webwire":
		if args[0] != "help" && !has("cmd", "webwire", args[0]+".go") {
			return "webwire has no such command"
		}
	case "cp":
		if from, ok := strings.CutPrefix(args[len(args)-2], "<clone>/"); !ok || !has(from) {
			return "there is nothing to copy"
		}
	case "mkdir", "nats", "./chat": // the last is what a command before it has built
	default:
		return "this test does not know the command"
	}
	return ""
}

func checkGo(top, file string, args []string, has func(...string) bool) string {
	switch args[0] {
	case "run", "build":
		i := slices.IndexFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "./") })
		if i < 0 {
			return "it names no package"
		}
		if file == "docs/tutorial.md" { // its programs exist in its test only, which runs them
			return ""
		}
		source := ""
		files, _ := filepath.Glob(filepath.Join(top, args[i], "*.go"))
		for _, path := range files {
			data, _ := os.ReadFile(path)
			source += string(data)
		}
		if !strings.Contains(source, "package main\n") {
			return args[i] + " is no program"
		}
		for _, arg := range args[i+1:] {
			if flag, ok := strings.CutPrefix(arg, "-"); ok && !strings.Contains(source, `"`+flag+`"`) {
				return "there is no flag " + arg
			}
		}
	case "install", "get":
		path, _, _ := strings.Cut(args[1], "@")
		path = strings.TrimPrefix(strings.TrimPrefix(path, "github.com/webwire-go/webwire"), "./")
		if !has(path) {
			return "there is no package " + args[1]
		}
	case "mod":
		_, replaced, ok := strings.Cut(args[len(args)-1], "=../webwire")
		if ok && !has(replaced, "go.mod") {
			return "there is no module " + replaced
		}
	default:
		return "unknown"
	}
	return ""
}

// fence is a block between fences.
type fence struct {
	language string
	line     int
	text     string
}

func fences(t *testing.T, top, name string) (all []fence) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(top, name))
	if err != nil {
		t.Fatal(err)
	}
	var open *fence
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		mark, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && open == nil:
			open = &fence{language: mark, line: n}
		case isFence:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line
		}
	}
	return all
}
