package protocol_test

import (
	"bytes"
	"testing"

	"github.com/webwire-go/webwire/protocol"
)

func TestPayloads(t *testing.T) {
	json, err := protocol.JSON(map[string]int{"n": 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		payload  protocol.Payload
		encoding string
		data     string
		text     string
	}{
		{protocol.Payload{}, "binary", "", ""},
		{protocol.Bytes([]byte{0xff, 0}), "binary", "\xff\x00", "\xff\x00"},
		{protocol.Text("Грусть 😀"), "utf8", "Грусть 😀", "Грусть 😀"},
		{protocol.UTF16Text("aé😀"), "utf16", "a\x00\xe9\x00\x3d\xd8\x00\xde", "aé😀"},
		{protocol.UTF16Text("\xff"), "utf16", "\xfd\xff", "\uFFFD"},
		{json, "utf8", `{"n":1}`, `{"n":1}`},
		{protocol.Payload{Encoding: 9, Data: []byte("x")}, "encoding 9", "x", "x"},
	} {
		p := test.payload
		if p.Encoding.String() != test.encoding || string(p.Data) != test.data || p.Text() != test.text {
			t.Errorf("%v %q %q, want %+v", p.Encoding, p.Data, p.Text(), test)
		}
	}
}

func TestSurrogates(t *testing.T) {
	for data, want := range map[string]string{
		"\x3d\xd8\x00\xde":         "😀",
		"\x3d\xd8":                 "\uFFFD",       // high, and the end
		"\x3d\xd8a\x00":            "\uFFFDa",      // high without low
		"\x00\xdea\x00":            "\uFFFDa",      // low without high
		"\x00\xde\x3d\xd8":         "\uFFFD\uFFFD", // in the wrong order
		"\x3d\xd8\x3d\xd8\x00\xde": "\uFFFD😀",      // high, then a pair
		"a\x00\x3d\xd8\x00\xdeb":   "a😀\uFFFD",     // half a unit at the end
		"a":                        "\uFFFD",
		"\xff\xfea\x00":            "\uFEFFa", // a byte order mark is a character
	} {
		p := protocol.Payload{Encoding: protocol.UTF16, Data: []byte(data)}
		if got := p.Text(); got != want {
			t.Errorf("%x is %q, want %q", data, got, want)
		}
	}
}

func TestText(t *testing.T) {
	source := []byte("text")
	if p := protocol.Bytes(source); &p.Data[0] != &source[0] {
		t.Error("Bytes copies")
	}
	text := protocol.Bytes(source).Text()
	source[0] = 'n'
	if text != "text" {
		t.Error("Text does not copy")
	}
}

func TestJSON(t *testing.T) {
	type value struct{ Name string }
	const text = `{"Name":"Грусть 😀"}`
	for _, p := range []protocol.Payload{
		protocol.Text(text), protocol.UTF16Text(text), protocol.Bytes([]byte(text)),
	} {
		var v value
		if err := p.DecodeJSON(&v); err != nil || v.Name != "Грусть 😀" {
			t.Errorf("%v: %+v, %v", p.Encoding, v, err)
		}
	}
	odd := protocol.Payload{Encoding: protocol.UTF16, Data: []byte("{\x00}\x00 ")}
	if err := odd.DecodeJSON(&value{}); err == nil {
		t.Error("half a unit is no JSON")
	}
	if err := (protocol.Payload{}).DecodeJSON(&value{}); err == nil {
		t.Error("nothing is no JSON")
	}
	if p, err := protocol.JSON(make(chan int)); err == nil || !bytes.Equal(p.Data, nil) {
		t.Errorf("a channel has JSON %q, %v", p.Data, err)
	}
}
