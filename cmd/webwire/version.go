package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/webwire-go/webwire/protocol"
)

const versionHelp = `It prints the version of the module, the revision that the command was built
from, the versions of the protocol that it speaks, and that of Go.
`

func version(_ context.Context, p *program, flags *flag.FlagSet, args []string) error {
	if _, err := parse(flags, args, 0, 0); err != nil {
		return err
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	fmt.Fprint(p.stdout, versionText(info))
	return nil
}

// versionText returns what a build is.
func versionText(info *debug.BuildInfo) string {
	module := info.Main.Version
	if module == "" {
		module = "(unknown)"
	}
	var text strings.Builder
	fmt.Fprintln(&text, "webwire", module)
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if revision := settings["vcs.revision"]; revision != "" {
		modified := ""
		if settings["vcs.modified"] == "true" {
			modified = ", modified"
		}
		fmt.Fprintf(&text, "revision %s of %s%s\n", revision, settings["vcs.time"], modified)
	}
	var spoken []string
	for _, v := range protocol.Versions() {
		spoken = append(spoken, v.String())
	}
	fmt.Fprintln(&text, "protocol", strings.Join(spoken, ", "))
	fmt.Fprintln(&text, runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)
	return text.String()
}
