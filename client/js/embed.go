// Package js contains the JavaScript client of WebWire, for Go servers that hand it
// to browsers:
//
//	http.Handle("/webwire/", http.StripPrefix("/webwire/", http.FileServerFS(js.Source())))
//
// A page then imports "/webwire/index.js".
package js

import (
	"embed"
	"io/fs"
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
