// Command release checks that the repository can be released: what holds at every commit,
// and with -version also what a tag of that version needs.
//
//	go run ./internal/check/release                    # make release-check
//	go run ./internal/check/release -version 1.0.0     # make release-check VERSION=1.0.0
//
// The version is in one place, client/js/package.json; the modules of Go get theirs from
// tags. Between releases it ends in -dev.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	root := flag.String("root", ".", "directory of the repository")
	version := flag.String("version", "", "version that is about to be tagged; empty: none is")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	found := check(*root, *version)
	for _, f := range found {
		log.Print(f)
	}
	if len(found) > 0 {
		os.Exit(1)
	}
	if *version == "" {
		fmt.Println("nothing in the way of a release but its version")
		return
	}
	fmt.Printf("ready; the tags are\n")
	for _, m := range modules {
		fmt.Printf("  %sv%s\n", m.tag, *version)
	}
}
