package protocol_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

var (
	created  = time.Date(2018, 3, 24, 0, 3, 41, 123456789, time.FixedZone("", 3600))
	lastSeen = time.Date(2018, 3, 25, 0, 0, 0, 0, time.UTC)
)

const (
	early = `"key":"k<","crt":"2018-03-24T00:03:41.123456789+01:00"`
	late  = `"k":"k\u003c","c":"2018-03-24T00:03:41.123456789+01:00","l":"2018-03-25T00:00:00Z"`
)

func TestAppendSession(t *testing.T) {
	for _, test := range []struct{ info, early, late string }{
		{"", `,"inf":null`, ""},
		{"null", `,"inf":null`, ""},
		{"{}", `,"inf":{}`, ""},
		{" {} ", `,"inf":{}`, ""},
		{`{ "a": 1 }`, `,"inf":{"a":1}`, `,"i":{"a":1}`},
		{`[1]`, `,"inf":[1]`, `,"i":[1]`},
		{`"text"`, `,"inf":"text"`, `,"i":"text"`},
	} {
		s := protocol.Session{Key: "k<", Created: created, LastSeen: lastSeen, Info: json.RawMessage(test.info)}
		first := strings.ReplaceAll(early, "<", `\u003c`) + test.early
		second := late + test.late
		for v, want := range map[protocol.Version]string{
			protocol.V1_2: "{" + first + "}",
			protocol.V1_3: "{" + first + "," + second + "}",
			protocol.V1_4: "{" + second + "}",
			protocol.V1_5: "{" + second + "}",
			protocol.V2_0: "{" + second + "}",
		} {
			got, err := v.AppendSession([]byte("before"), s)
			if err != nil || string(got) != "before"+want {
				t.Errorf("%v: %s, %v\nwant %s", v, got, err, want)
			}
			back, err := protocol.ParseSession([]byte(want))
			if err != nil || back.Key != s.Key || !back.Created.Equal(created) {
				t.Errorf("%v: comes back as %#v, %v", v, back, err)
			}
			if !back.LastSeen.Equal(lastSeen) && v != protocol.V1_2 {
				t.Errorf("%v: last seen %v", v, back.LastSeen)
			}
		}
	}
}

func TestAppendSessionRefuses(t *testing.T) {
	for _, s := range []protocol.Session{
		{},
		{Key: "two\nlines"},
		{Key: "schlüssel"},
		{Key: "a\xff"},
		{Key: "k", Info: json.RawMessage("{")},
		{Key: "k", Info: json.RawMessage(" ")},
		{Key: "k", Created: time.Date(12018, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		for _, v := range protocol.Versions() {
			got, err := v.AppendSession([]byte("kept"), s)
			if !errors.Is(err, protocol.ErrMalformed) || string(got) != "kept" {
				t.Errorf("%v: %+v: %s, %v", v, s, got, err)
			}
		}
	}
}

func TestParseSession(t *testing.T) {
	for data, want := range map[string]string{
		`{"key":"k","crt":"2018-03-24T00:03:41Z","inf":{"a":1}}`:                              `k 2018-03-24 0001-01-01 {"a":1}`,
		`{"key":"k","crt":"2018-03-24T00:03:41Z","inf":null}`:                                 `k 2018-03-24 0001-01-01 `,
		`{"k":"k","c":"2018-03-24T00:03:41Z","l":"2018-03-25T00:00:00Z"}`:                     `k 2018-03-24 2018-03-25 `,
		`{"key":"a","crt":"2018-03-24T00:03:41Z","inf":1,"k":"b","c":"2019-01-01T00:00:00Z"}`: `b 2019-01-01 0001-01-01 `,
		`{"key":"k"}`: `k 0001-01-01 0001-01-01 `,
	} {
		s, err := protocol.ParseSession([]byte(data))
		got := fmt.Sprintf("%s %s %s %s", s.Key, s.Created.Format(time.DateOnly), s.LastSeen.Format(time.DateOnly), s.Info)
		if err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", data, got, err, want)
		}
	}
	for _, data := range []string{
		"", "null", "{}", "[]", `"k"`, `{"key":""}`, `{"key":1}`, `{"key":"top secret","crt":"yesterday"}`, `{"k":"k"`,
	} {
		if s, err := protocol.ParseSession([]byte(data)); !errors.Is(err, protocol.ErrMalformed) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %#v, %v", data, s, err)
		}
	}
}

// A parsed session refers to nothing of what was parsed.
func TestParseSessionCopies(t *testing.T) {
	data := []byte(`{"key":"k","inf":{"a":1}}`)
	s, err := protocol.ParseSession(data)
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	if s.Key != "k" || string(s.Info) != `{"a":1}` {
		t.Errorf("%q %q", s.Key, s.Info)
	}
}
