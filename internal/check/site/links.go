package main

import (
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/yuin/goldmark/ast"
)

// repository is where files that are no pages can be read.
const repository = "https://github.com/webwire-go/webwire/blob/main/"

// links calls f with the destination of each link and image of the page, and replaces it by
// what f returns.
func (p *page) links(f func(destination string, image bool) string) {
	_ = ast.Walk(p.doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			switch l := n.(type) {
			case *ast.Link:
				l.Destination = []byte(f(string(l.Destination), false))
			case *ast.Image:
				l.Destination = []byte(f(string(l.Destination), true))
			}
		}
		return ast.WalkContinue, nil
	})
}

// resolve returns the path in the repository that a link of the page leads to, and its
// fragment. ok is false if the link leads elsewhere.
func (p *page) resolve(link string) (target, fragment string, ok bool) {
	u, err := url.Parse(link)
	if err != nil || u.Scheme != "" || u.Host != "" {
		return "", "", false
	}
	if u.Path == "" {
		return p.path, u.Fragment, true
	}
	if below, ok := strings.CutPrefix(u.Path, "/"); ok { // of the repository, as on GitHub
		return path.Clean(below), u.Fragment, true
	}
	return path.Join(path.Dir(p.path), u.Path), u.Fragment, true
}

// check returns a text about each link that leads nowhere: to no file of the repository, or
// to no heading of a page.
func (all pages) check(root string) (broken []string) {
	for _, p := range all {
		p.links(func(link string, _ bool) string {
			target, fragment, ok := p.resolve(link)
			if !ok {
				if u, err := url.Parse(link); err != nil || u.Host == "" {
					broken = append(broken, fmt.Sprintf("%s: %s is no link", p.path, link))
				}
				return link
			}
			if strings.HasPrefix(target, "../") {
				broken = append(broken, fmt.Sprintf("%s: %s leads out of the repository", p.path, link))
				return link
			}
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(target))); err != nil {
				broken = append(broken, fmt.Sprintf("%s: %s does not exist", p.path, link))
				return link
			}
			if fragment != "" {
				if to := all.page(target); to == nil || !to.anchors[fragment] {
					broken = append(broken, fmt.Sprintf("%s: %s has no such heading", p.path, link))
				}
			}
			return link
		})
	}
	slices.Sort(broken)
	return broken
}

// page returns the page of a file or, through its README.md, of a directory; nil if there
// is none.
func (all pages) page(target string) *page {
	if p := all[target]; p != nil {
		return p
	}
	return all[path.Join(target, "README.md")]
}

// file returns the path of the page in the site.
func (p *page) file() string {
	if path.Base(p.path) == "README.md" {
		return path.Join(path.Dir(p.path), "index.html")
	}
	return strings.TrimSuffix(p.path, ".md") + ".html"
}

// to returns a link from the page to a file of the site.
func (p *page) to(file string) string {
	rel, err := filepath.Rel(filepath.FromSlash(path.Dir(p.file())), filepath.FromSlash(file))
	if err != nil {
		return file
	}
	return filepath.ToSlash(rel)
}
