package main

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

// A report of a bug can say which version it is about.
func TestVersion(t *testing.T) {
	text := must(t, "version")
	if !strings.HasPrefix(text, "webwire ") || !strings.Contains(text, "\nprotocol 3.0, 2.0, ") || !strings.Contains(text, "\n"+runtime.Version()) {
		t.Error(text)
	}
	info := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123abc"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	if text := versionText(info); !strings.HasPrefix(text, "webwire v1.2.3\nrevision 0123abc of 2026-01-02T03:04:05Z, modified\nprotocol ") {
		t.Error(text)
	}
}
