package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// repositoryOf writes files and returns their directory.
func repositoryOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := put(dir, name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestBrokenLinks(t *testing.T) {
	dir := repositoryOf(t, map[string]string{
		"README.md": "# Top\n\n[a](docs/a.md) [b](docs/b.md) [dir](docs) [web](https://example.com/x) [head](docs/a.md#two-words) " +
			"[none](docs/a.md#three) [own](#top) [up](../x.md) ![pic](docs/p.png) ![lost](docs/q.png) [code](main.go)\n",
		"docs/a.md":            "# A\n\n## Two words\n\n```\n[not a link](nowhere.md)\n```\n\n[top](../README.md) [top](/README.md)\n",
		"docs/p.png":           "",
		"main.go":              "",
		"node_modules/x.md":    "[other](nowhere.md)",
		"docs/testdata/bad.md": "[other](nowhere.md)",
	})
	all, err := read(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"README.md: ../x.md leads out of the repository",
		"README.md: docs/a.md#three has no such heading",
		"README.md: docs/b.md does not exist",
		"README.md: docs/q.png does not exist",
	}
	if got := all.check(dir); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if _, err := read(t.TempDir()); err == nil {
		t.Error("an empty directory is a repository")
	}
}

func TestSite(t *testing.T) {
	dir := repositoryOf(t, map[string]string{
		"README.md":        "# Top & more\n\n[a](docs/a.md#one) [source](main.go) ![pic](docs/p.png)\n",
		"docs/a.md":        "# A\n\n<!-- given: x -->\n## One\n\n[top](../README.md) [here](#one) [b](b/README.md)\n\n| x |\n| --- |\n| y |\n\n<script>alert(1)</script>\n",
		"docs/b/README.md": "# B\n\n[up](../a.md)\n",
		"docs/p.png":       "picture",
		"main.go":          "",
	})
	all, err := read(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if err := all.write(dir, out); err != nil {
		t.Fatal(err)
	}
	for name, parts := range map[string][]string{
		"index.html": {
			`<title>Top &amp; more`, `href="docs/a.html#one"`, `href="` + repository + `main.go"`, `src="docs/p.png"`,
			`href="site.css"`, `<a href="index.html" aria-current="page">`,
		},
		"docs/a.html":       {`href="../index.html"`, `href="#one"`, `<h2 id="one">`, `href="b/index.html"`, `<div class="table"><table>`, `href="../site.css"`},
		"docs/b/index.html": {`href="../a.html"`},
		"docs/p.png":        {"picture"},
		"site.css":          {"body {"},
	} {
		text, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, part := range parts {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s does not contain %s:\n%s", name, part, text)
			}
		}
		for _, never := range []string{"<script", "given: x"} {
			if strings.Contains(string(text), never) {
				t.Errorf("%s contains %s", name, never)
			}
		}
	}
}

// Anchors are those of GitHub.
func TestAnchors(t *testing.T) {
	p := parse("x.md", []byte("# It's `Options.Check`, 2.0!\n\n## Same\n\n## Same\n\n## snake_case-and é\n"))
	for _, want := range []string{"its-optionscheck-20", "same", "same-1", "snake_case-and-é"} {
		if !p.anchors[want] {
			t.Errorf("there is no anchor %s in %v", want, p.anchors)
		}
	}
	if p.title != "It's Options.Check, 2.0!" {
		t.Errorf("the title is %q", p.title)
	}
}

// The documentation of this repository has no broken links, and the menu no lost pages.
func TestThisRepository(t *testing.T) {
	const root = "../../.."
	all, err := read(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, broken := range all.check(root) {
		t.Error(broken)
	}
	inMenu := map[string]bool{}
	for _, m := range menu {
		for _, name := range m.pages {
			inMenu[name] = true
			if all[name] == nil {
				t.Errorf("the menu has %s, which does not exist", name)
			}
		}
	}
	for name := range all {
		if strings.HasPrefix(name, "docs/") && name != "docs/README.md" && !inMenu[name] {
			t.Errorf("%s is not in the menu", name)
		}
	}
}
