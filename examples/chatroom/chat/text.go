package chat

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxName = 24   // characters
	maxRoom = 24   // bytes, which are characters
	maxText = 2000 // characters
	minID   = 8
	maxID   = 64
)

// cleanName returns a name in the form in which it is shown. It refuses characters that
// are invisible or change the direction of the text.
func cleanName(name string) (string, error) {
	name = strings.Join(strings.Fields(name), " ")
	if name == "" || utf8.RuneCountInString(name) > maxName || !utf8.ValidString(name) {
		return "", ErrBadName
	}
	visible := false
	for _, r := range name {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r):
			visible = true
		case unicode.IsMark(r) && visible, strings.ContainsRune(" .-_'", r):
		default:
			return "", ErrBadName
		}
	}
	if !visible {
		return "", ErrBadName
	}
	return name, nil
}

// fold returns a name without regard to case, for comparing.
func fold(name string) string { return strings.ToLower(strings.ToUpper(name)) }

// checkRoom allows what is safe in a file name and a URL.
func checkRoom(room string) error {
	if room == "" || len(room) > maxRoom || room[0] == '-' {
		return ErrBadRoom
	}
	for _, r := range room {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-') {
			return ErrBadRoom
		}
	}
	return nil
}

func checkID(id string) error {
	if len(id) < minID || len(id) > maxID {
		return ErrBadID
	}
	for _, r := range id {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-') {
			return ErrBadID
		}
	}
	return nil
}

// cleanText returns a text without control characters, and without space around it.
func cleanText(text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", ErrBadText
	}
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, text)
	text = strings.TrimSpace(text)
	if text == "" || utf8.RuneCountInString(text) > maxText {
		return "", ErrBadText
	}
	return text, nil
}
