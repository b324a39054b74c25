package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
)

// page is a Markdown file. Paths have slashes and are relative to the repository.
type page struct {
	path    string // of the Markdown file
	title   string // of its first heading
	source  []byte
	doc     ast.Node
	anchors map[string]bool
}

// pages are the pages of the site by path.
type pages map[string]*page

// markdown parses as GitHub does. The only raw HTML in the repository is comments, which
// are left out.
var markdown = goldmark.New(
	goldmark.WithExtensions(extension.GFM),
	goldmark.WithParserOptions(parser.WithAutoHeadingID()),
	goldmark.WithRendererOptions(html.WithXHTML()),
)

// read parses the Markdown files below root, but for what is not the project's.
func read(root string) (pages, error) {
	all := pages{}
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == "out" || len(name) > 1 && d.Name()[0] == '.'):
			return fs.SkipDir
		case path.Ext(name) != ".md":
			return nil
		}
		source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		all[name] = parse(name, source)
		return nil
	})
	if err == nil && all["README.md"] == nil {
		err = fmt.Errorf("%s is not the repository: it has no README.md", root)
	}
	return all, err
}

func parse(name string, source []byte) *page {
	p := &page{path: name, title: name, source: source, anchors: map[string]bool{}}
	context := parser.NewContext(parser.WithIDs(&ids{used: p.anchors}))
	p.doc = markdown.Parser().Parse(text.NewReader(source), parser.WithContext(context))
	for n := p.doc.FirstChild(); n != nil; n = n.NextSibling() {
		if h, ok := n.(*ast.Heading); ok {
			p.title = plain(h, source)
			break
		}
	}
	return p
}

// plain returns the text of a node.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch t := n.(type) {
		case *ast.Text:
			if entering {
				b.Write(t.Segment.Value(source))
			}
		case *ast.String:
			if entering {
				b.Write(t.Value)
			}
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// ids makes the anchors of headings as GitHub does, so that links work on both.
type ids struct{ used map[string]bool }

func (g *ids) Generate(value []byte, _ ast.NodeKind) []byte {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(string(value))) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-', r == '_', '0' <= r && r <= '9', 'a' <= r && r <= 'z', r > 127:
			b.WriteRune(r)
		}
	}
	id := b.String()
	for n := 1; g.used[id]; n++ {
		id = fmt.Sprintf("%s-%d", b.String(), n)
	}
	g.used[id] = true
	return []byte(id)
}

func (g *ids) Put(value []byte) { g.used[string(value)] = true }
