package chat

import (
	"errors"
	"strings"
	"testing"
)

func TestCleanName(t *testing.T) {
	for in, want := range map[string]string{
		"Ada":            "Ada",
		"  Grace  M. ":   "Grace M.",
		"Jean-Luc":       "Jean-Luc",
		"O'Neill":        "O'Neill",
		"Łukasz":         "Łukasz",
		"小林":             "小林",
		"Noe\u0308l":     "Noe\u0308l",
		"":               "",
		" \t ":           "",
		"---":            "",
		"\u0308":         "",
		"<b>Ada</b>":     "",
		"Ada\u202eevil":  "",
		"Ada\u200b":      "",
		"Ada\x00":        "",
		"Ada\xff":        "",
		"\u0308Ada":      "",
		"a\nb":           "a b",
		long("x", 24):    long("x", 24),
		long("x", 25):    "",
		long("ä", 24):    long("ä", 24),
		"Ada 🦄 of chats": "",
	} {
		got, err := cleanName(in)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("cleanName(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestFold(t *testing.T) {
	if fold("ADA") != fold("ada") || fold("Ματθαίος") != fold("ΜΑΤΘΑΊΟΣ") || fold("Ada") == fold("Eda") {
		t.Error("names are not folded")
	}
}

func TestCheckRoom(t *testing.T) {
	for room, ok := range map[string]bool{
		"lobby": true, "room-7": true, "": false, "-x": false, "Lobby": true, "a b": false,
		"../../etc": false, "a.b": false, "ä": false, long("a", 24): true, long("a", 25): false,
	} {
		if (checkRoom(room) == nil) != ok {
			t.Errorf("checkRoom(%q) = %v", room, checkRoom(room))
		}
	}
}

func TestCheckID(t *testing.T) {
	for id, ok := range map[string]bool{
		"6f1c2a3e-9b1f-4a52-8f0e-0d6a0a3b7a11": true, "short": false, long("a", 64): true, long("a", 65): false, "with space in it": false, "": false,
	} {
		if (checkID(id) == nil) != ok {
			t.Errorf("checkID(%q) = %v", id, checkID(id))
		}
	}
}

func TestCleanText(t *testing.T) {
	for in, want := range map[string]string{
		"hi":                     "hi",
		"  hi\r\nthere \n":       "hi\nthere",
		"<script>alert(1)":       "<script>alert(1)",
		"bell\a \x1b[31mred":     "bell [31mred",
		"c1 \u009b31m":           "c1 31m",
		"":                       "",
		" \n\t ":                 "",
		"\x00":                   "",
		"not \xff UTF-8":         "",
		long("ü", maxText):       long("ü", maxText),
		long("x", maxText+1):     "",
		long("x", maxText) + " ": long("x", maxText),
	} {
		got, err := cleanText(in)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("cleanText(%.20q) = %.20q, %v, want %.20q", in, got, err, want)
		}
		if want == "" && !errors.Is(err, ErrBadText) {
			t.Errorf("cleanText(%.20q): %v", in, err)
		}
	}
}

func long(s string, n int) string { return strings.Repeat(s, n) }
