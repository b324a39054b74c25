// Package js contains the JavaScript client of WebWire, for Go servers that hand it
// to browsers. Handler serves a page with it:
//
//	//go:embed page
//	var files embed.FS
//	...
//	mux.Handle("/", js.Handler(files, "page"))
//
// The page imports "./webwire/index.js".
package js

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"sync"
)

//go:embed src/*.js
var files embed.FS

// Source returns the modules of the client.
func Source() fs.FS {
	src, err := fs.Sub(files, "src")
	if err != nil {
		panic(err) // the directory is named above
	}
	return src
}

// policy lets a page load and connect to what its own origin serves, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// Handler serves the files of a directory at / and the modules of the client at /webwire/.
// A policy in the header keeps pages from loading or connecting to anything of another origin,
// and from running scripts and styles that are written into the HTML. It also forbids frames.
// Browsers ask for each file again. They keep the modules as long as those do not change, and files
// of which the file system knows when they were changed, which an embed.FS does not.
//
// Handler panics if dir is not a valid name, see [fs.ValidPath].
func Handler(files fs.FS, dir string) http.Handler {
	page, err := fs.Sub(files, dir)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(page))
	modules := http.FileServerFS(Source())
	mux.HandleFunc("GET /webwire/", func(w http.ResponseWriter, r *http.Request) {
		if tag := tags()[path.Base(r.URL.Path)]; tag != "" {
			w.Header().Set("ETag", tag)
		}
		http.StripPrefix("/webwire/", modules).ServeHTTP(w, r)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache")
		mux.ServeHTTP(w, r)
	})
}

// tags are the entity tags of the modules, by name.
var tags = sync.OnceValue(func() map[string]string {
	tags := make(map[string]string)
	names, err := fs.Glob(files, "src/*.js")
	if err != nil {
		panic(err) // the pattern is above
	}
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			panic(err)
		}
		tags[path.Base(name)] = fmt.Sprintf(`"%x"`, sha256.Sum256(data))
	}
	return tags
})
