// Command site makes a static site of the documentation:
//
//	go -C internal/check/site run . -out ../../../out/site
//
// Each Markdown file of the repository becomes a page at the same path, README.md the page
// index.html of its directory. Links between pages are rewritten, links to other files of
// the repository go to its page on the web. With -check it makes nothing and reports links
// that lead nowhere, which it does before it makes the site, too.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	root := flag.String("root", "../../..", "directory of the repository")
	out := flag.String("out", "", "directory for the site")
	check := flag.Bool("check", false, "only check the links")
	flag.Parse()
	if flag.NArg() > 0 || (*out == "") != *check {
		flag.Usage()
		os.Exit(2)
	}
	pages, err := read(*root)
	if err != nil {
		log.Fatal(err)
	}
	broken := pages.check(*root)
	for _, b := range broken {
		log.Print(b)
	}
	if len(broken) > 0 {
		os.Exit(1)
	}
	if *check {
		fmt.Printf("%d pages, no broken links\n", len(pages))
		return
	}
	if err := pages.write(*root, *out); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d pages, begin at %s\n", len(pages), filepath.Join(*out, "index.html"))
}
