package main

import (
	"bytes"
	_ "embed"
	"html/template"
	"os"
	"path"
	"path/filepath"
	"strings"
)

//go:embed page.html
var layout string

//go:embed site.css
var style []byte

var pageTemplate = template.Must(template.New("page").Parse(layout))

// menu is what every page lists, in this order.
var menu = []struct {
	title string
	pages []string
}{
	{"Start", []string{"README.md", "docs/install.md", "docs/tutorial.md", "docs/coming-from-webwire-go.md"}},
	{"Guides", []string{"docs/requests.md", "docs/topics.md", "docs/resume.md", "docs/sessions.md", "docs/authentication.md", "docs/web.md", "docs/errors.md", "docs/testing.md", "docs/transports.md", "docs/codec.md"}},
	{"In production", []string{"docs/frameworks.md", "docs/proxies.md", "docs/operations.md", "docs/deploys.md", "docs/nodes.md", "docs/logging.md", "SECURITY.md", "docs/reliability.md", "otel/README.md", "docs/troubleshooting.md"}},
	{"Look up", []string{"docs/reference.md", "docs/command.md", "protocol/PROTOCOL.md", "docs/benchmarks.md", "client/js/README.md", "CHANGELOG.md", "CONTRIBUTING.md"}},
}

// titles are those of pages whose first heading says too little in the menu.
var titles = map[string]string{"client/js/README.md": "JavaScript client"}

type group struct {
	Title string
	Items []item
}

type item struct {
	Title, Link string
	Current     bool
}

// write makes the site in the directory out.
func (all pages) write(root, out string) error {
	files := map[string]bool{} // of the repository, to be copied
	for _, p := range all {
		p.links(func(link string, image bool) string {
			target, fragment, ok := p.resolve(link)
			if !ok {
				return link
			}
			if fragment != "" {
				fragment = "#" + fragment
			}
			switch to := all.page(target); {
			case to == p:
				return fragment
			case to != nil:
				return p.to(to.file()) + fragment
			case image || path.Ext(target) == ".png":
				files[target] = true
				return p.to(target)
			}
			return repository + target
		})
		text, err := all.render(p)
		if err != nil {
			return err
		}
		if err := put(out, p.file(), text); err != nil {
			return err
		}
	}
	for file := range files {
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
		if err != nil {
			return err
		}
		if err := put(out, file, data); err != nil {
			return err
		}
	}
	return put(out, "site.css", style)
}

// render returns the page as HTML.
func (all pages) render(p *page) ([]byte, error) {
	var body, text bytes.Buffer
	if err := markdown.Renderer().Render(&body, p.source, p.doc); err != nil {
		return nil, err
	}
	// Comments are notes for the tests of the documentation.
	content := strings.ReplaceAll(body.String(), "<!-- raw HTML omitted -->\n", "")
	// A wide table scrolls by itself.
	content = strings.ReplaceAll(content, "<table>", `<div class="table"><table>`)
	content = strings.ReplaceAll(content, "</table>", "</table></div>")
	var groups []group
	for _, m := range menu {
		g := group{Title: m.title}
		for _, name := range m.pages {
			if to := all[name]; to != nil {
				title := titles[name]
				if title == "" {
					title = to.title
				}
				g.Items = append(g.Items, item{title, p.to(to.file()), to == p})
			}
		}
		groups = append(groups, g)
	}
	err := pageTemplate.Execute(&text, struct {
		Title, Style string
		Groups       []group
		Content      template.HTML // made by goldmark from the repository's own files, without raw HTML
	}{p.title, p.to("site.css"), groups, template.HTML(content)})
	return text.Bytes(), err
}

func put(out, file string, data []byte) error {
	name := filepath.Join(out, filepath.FromSlash(file))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o644)
}
