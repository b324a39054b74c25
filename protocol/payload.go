package protocol

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Encoding tells how to read the bytes of a payload. It is sent with the message;
// this library neither checks nor converts the bytes.
type Encoding uint8

const (
	Binary Encoding = iota // any bytes
	UTF8                   // text in UTF-8
	UTF16                  // text in UTF-16, little endian, without byte order mark

	encodings
)

// String returns "binary", "utf8" or "utf16".
func (e Encoding) String() string {
	switch e {
	case Binary:
		return "binary"
	case UTF8:
		return "utf8"
	case UTF16:
		return "utf16"
	}
	return fmt.Sprintf("encoding %d", uint8(e))
}

// Payload is the content of a request, a reply or a signal. The zero value is an
// empty binary one.
type Payload struct {
	Encoding Encoding
	Data     []byte
}

// Bytes returns a binary payload that aliases data.
func Bytes(data []byte) Payload { return Payload{Binary, data} }

// Text returns a UTF-8 payload with a copy of text.
func Text(text string) Payload { return Payload{UTF8, []byte(text)} }

// UTF16Text returns a UTF-16 payload. Characters above U+FFFF become surrogate pairs,
// and bytes that are not UTF-8 become U+FFFD.
func UTF16Text(text string) Payload {
	data := make([]byte, 0, unitSize*len(text))
	for _, r := range text {
		if high, low := utf16.EncodeRune(r); r > 0xffff {
			data = binary.LittleEndian.AppendUint16(data, uint16(high))
			data = binary.LittleEndian.AppendUint16(data, uint16(low))
		} else {
			data = binary.LittleEndian.AppendUint16(data, uint16(r))
		}
	}
	return Payload{UTF16, data}
}

// JSON returns a UTF-8 payload with v encoded by encoding/json.
func JSON(v any) (Payload, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return Payload{}, fmt.Errorf("protocol: encode payload: %w", err)
	}
	return Payload{UTF8, data}, nil
}

// Text returns the payload as a string. UTF-16 is converted to UTF-8: a lone surrogate
// or an odd last byte becomes U+FFFD. The bytes of other payloads are returned
// unchanged, even if they are not valid UTF-8.
func (p Payload) Text() string {
	if p.Encoding != UTF16 {
		return string(p.Data)
	}
	text := make([]byte, 0, len(p.Data))
	b := p.Data
	for len(b) >= unitSize {
		r := rune(binary.LittleEndian.Uint16(b))
		b = b[unitSize:]
		if utf16.IsSurrogate(r) {
			pair := rune(utf8.RuneError)
			if len(b) >= unitSize {
				pair = utf16.DecodeRune(r, rune(binary.LittleEndian.Uint16(b)))
			}
			if pair != utf8.RuneError {
				b = b[unitSize:]
			}
			r = pair
		}
		text = utf8.AppendRune(text, r)
	}
	if len(b) > 0 {
		text = utf8.AppendRune(text, utf8.RuneError)
	}
	return string(text)
}

// DecodeJSON decodes the payload, JSON in any of the encodings, into the value that v
// points to, as json.Unmarshal does.
func (p Payload) DecodeJSON(v any) error {
	data := p.Data
	if p.Encoding == UTF16 {
		data = []byte(p.Text())
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("protocol: decode payload: %w", err)
	}
	return nil
}
