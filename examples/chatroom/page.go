package main

import (
	"embed"
	"io/fs"
	"net/http"

	"github.com/webwire-go/webwire/client/js"
)

//go:embed web
var files embed.FS

// page serves the web page, and the JavaScript client below /webwire/.
func page() http.Handler {
	web, err := fs.Sub(files, "web")
	if err != nil {
		panic(err) // the directory is named above
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(web))
	mux.Handle("GET /webwire/", http.StripPrefix("/webwire/", http.FileServerFS(js.Source())))
	return guarded(mux)
}

// guarded adds headers: the page loads only what comes from this server, and cannot be
// embedded in another page.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
			"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache") // a new server has a new page
		next.ServeHTTP(w, r)
	})
}
