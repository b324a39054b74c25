package rfc6455

import (
	"fmt"
	"slices"
	"strings"

	"github.com/webwire-go/webwire/transport"
)

// systematic returns what follows from combining: every kind of frame with every
// reserved bit and opcode, before and within and after a message, and text and close
// reasons of every shape that UTF-8 has.
func systematic() []testCase {
	return slices.Concat(textSizes(), reservedBits(), reservedOpcodes(), controlsWithin(), validText(), reasons())
}

func textSizes() (all []testCase) {
	for _, n := range []int{0, 1, 125, 126, 127, 128, 65_535, 65_536} {
		msg := strings.Repeat("*", n)
		all = append(all, testCase{section: "5.6", name: fmt.Sprintf("text of %d bytes", n),
			frames: []frame{{first: 0x81, payload: []byte(msg)}}, messages: list(msg)})
	}
	return all
}

// cut returns the frames of a message in fragments of size bytes.
func cut(first byte, msg string, size int) (all []frame) {
	for part := range slices.Chunk([]byte(msg), size) {
		all = append(all, frame{payload: part})
	}
	all[0].first |= first
	all[len(all)-1].first |= 0x80
	return all
}

func reservedBits() (all []testCase) {
	for bits := byte(0x10); bits <= 0x70; bits += 0x10 {
		name := fmt.Sprintf("reserved bits %03b in ", bits>>4)
		set := bits | 0x80
		all = append(all,
			testCase{section: "5.2", name: name + "a text", frames: []frame{{first: set | 0x1, payload: []byte("x")}}, local: violation},
			testCase{section: "5.2", name: name + "a message after another", frames: []frame{binaryFrame("x"), {first: set | 0x2}},
				messages: list("x"), local: violation},
			testCase{section: "5.2", name: name + "a first fragment", frames: []frame{{first: bits | 0x2}}, local: violation},
			testCase{section: "5.2", name: name + "a pong", frames: []frame{{first: set | 0xA}}, local: violation},
			testCase{section: "5.2", name: name + "a ping within a message", frames: []frame{start("x"), {first: set | 0x9}}, local: violation},
			testCase{section: "5.2", name: name + "a close", frames: []frame{{first: set | 0x8, payload: []byte{0x03, 0xE8}}}, local: violation},
		)
	}
	return all
}

func reservedOpcodes() (all []testCase) {
	for _, op := range []byte{3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF} {
		name := fmt.Sprintf("reserved opcode %#x ", op)
		all = append(all,
			testCase{section: "5.2", name: name + "without a payload", frames: []frame{{first: 0x80 | op}}, local: violation},
			testCase{section: "5.2", name: name + "after a message", frames: []frame{binaryFrame("x"), {first: 0x80 | op}},
				messages: list("x"), local: violation},
			testCase{section: "5.2", name: name + "within a message", frames: []frame{start("x"), {first: 0x80 | op}}, local: violation},
			testCase{section: "5.2", name: name + "as a fragment", frames: []frame{{first: op, payload: []byte("x")}}, local: violation},
		)
	}
	return all
}

func controlsWithin() []testCase {
	full := string([]byte{0x00, 0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0x00, 0xFF})
	return []testCase{
		{section: "5.5.2", name: "ping that is not text", frames: []frame{ping(full)}, pongs: []string{full}},
		{section: "5.5.3", name: "pong before a ping", frames: []frame{pong("nobody asked"), ping("p")}, pongs: []string{"p"}},
		{section: "5.5.2", name: "ping before a message", frames: []frame{ping("p"), binaryFrame("x")}, messages: list("x"), pongs: []string{"p"}},
		{section: "5.5.2", name: "ping after a message", frames: []frame{binaryFrame("x"), ping("p")}, messages: list("x"), pongs: []string{"p"}},
		{section: "5.5.2", name: "ping between the fragments of a text",
			frames: []frame{{first: 0x01, payload: []byte("a")}, ping("p"), last("b")}, messages: list("ab"), pongs: []string{"p"}},
		{section: "5.4", name: "control frame after each fragment",
			frames: []frame{start("a"), ping("1"), more("b"), ping("2"), more("c"), ping("3"), last("d")}, messages: list("abcd"), pongs: []string{"1", "2", "3"}},
		{section: "5.4", name: "continuation after a pong", frames: []frame{pong("p"), last("x")}, local: violation},
		{section: "5.4", name: "continuation that is a fragment, after a message", frames: []frame{binaryFrame("x"), more("y")}, messages: list("x"), local: violation},
		{section: "5.4", name: "message within a text", frames: []frame{{first: 0x01, payload: []byte("x")}, binaryFrame("y")}, local: violation},
		{section: "5.4", name: "text within a text", frames: []frame{{first: 0x01, payload: []byte("x")}, {first: 0x81}}, local: violation},
		{section: "5.4", name: "first fragment within a text", frames: []frame{{first: 0x01, payload: []byte("x")}, start("y")}, local: violation},
		{section: "5.4", name: "message after fragments, and a continuation of it", frames: []frame{start("a"), last("b"), binaryFrame("c"), last("d")},
			messages: list("ab", "c"), local: violation},
		{section: "5.5", name: "fragmented ping within a message", frames: []frame{start("x"), {first: 0x09}}, local: violation},
		{section: "5.5", name: "fragmented ping and its continuation", frames: []frame{{first: 0x09, payload: []byte("x")}, last("y")}, local: violation},
		{section: "5.5", name: "close with a length in 16 bits", frames: []frame{{first: 0x88, payload: make([]byte, 126)}}, local: violation},
		{section: "5.5", name: "close that announces 1 TiB", frames: []frame{{first: 0x88, form: 127, length: 1 << 40}}, local: violation},
		{section: "5.5", name: "pong that announces 1 TiB", frames: []frame{{first: 0x8A, form: 127, length: 1 << 40}}, local: violation},
		{section: "5.5.1", name: "ping after a close", frames: []frame{closing(1000, ""), ping("p")}, remote: &transport.CloseError{Status: 1000}},
		{section: "5.5.1", name: "violation after a close", frames: []frame{closing(1000, ""), {first: 0xF3}}, remote: &transport.CloseError{Status: 1000}},
		{section: "5.5.1", name: "close within a text", frames: []frame{{first: 0x01, payload: []byte("a")}, closing(1000, "")}, remote: &transport.CloseError{Status: 1000}},
	}
}

// utf8Shapes are the ends of the ranges that UTF-8 encodes in as many bytes, and what
// lies around those that it does not encode.
var utf8Shapes = []string{
	"\x00", "\x7f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufdd0", "\ufffd", "\ufffe", "\uffff",
	"\U00010000", "\U0001ffff", "\U000e0001", "\U0010fffd", "\U0010ffff", "κόσμε", "Hello-µ@ßöäüàá-UTF-8!!",
}

func validText() (all []testCase) {
	for _, s := range utf8Shapes {
		all = append(all,
			testCase{section: "8.1", name: fmt.Sprintf("text %+q", s), frames: []frame{{first: 0x81, payload: []byte(s)}}, messages: list(s)},
			testCase{section: "8.1", name: fmt.Sprintf("text %+q in fragments of a byte", s), frames: cut(0x01, s, 1), messages: list(s)},
		)
	}
	return all
}

func reasons() (all []testCase) {
	for _, s := range utf8Shapes {
		all = append(all, testCase{section: "8.1", name: fmt.Sprintf("close with the reason %+q", s),
			frames: []frame{closing(3000, s)}, remote: &transport.CloseError{Status: 3000, Reason: s}})
	}
	for _, c := range []struct{ name, reason string }{
		{"a continuation byte alone", "\x80"},
		{"the last continuation byte alone", "\xbf"},
		{"a first byte alone", "\xc3"},
		{"two of three bytes", "\xe2\x82"},
		{"three of four bytes", "\xf0\x90\x8d"},
		{"a first byte and a space", "\xc3 "},
		{"NUL in two bytes", "\xc0\x80"},
		{"a slash in two bytes", "\xc0\xaf"},
		{"a slash in three bytes", "\xe0\x80\xaf"},
		{"a slash in four bytes", "\xf0\x80\x80\xaf"},
		{"the lowest surrogate", "\xed\xa0\x80"},
		{"the highest surrogate", "\xed\xbf\xbf"},
		{"a pair of surrogates", "\xed\xa0\x80\xed\xb0\x80"},
		{"more than U+10FFFF", "\xf4\x90\x80\x80"},
		{"five bytes", "\xf8\x88\x80\x80\x80"},
		{"six bytes", "\xfc\x84\x80\x80\x80\x80"},
		{"0xFE", "\xfe"},
		{"0xFF", "\xff"},
		{"a fault behind valid text", "κόσμε\xed\xa0\x80edited"},
	} {
		all = append(all, testCase{section: "8.1", name: "close with a reason that is no UTF-8: " + c.name,
			frames: []frame{closing(1000, c.reason)}, local: violation, acceptedClose: &transport.CloseError{Status: 1000, Reason: c.reason}})
	}
	return all
}
