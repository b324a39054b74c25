package protocol

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Encoding says what the bytes of a payload are. It travels with the message;
// nobody on the way checks or converts the bytes.
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

// Bytes returns a binary payload of data, which it does not copy.
func Bytes(data []byte) Payload { return Payload{Binary, data} }

// Text returns a UTF-8 payload of a copy of text.
func Text(text string) Payload { return Payload{UTF8, []byte(text)} }

// UTF16Text returns text as a UTF-16 payload. Characters beyond U+FFFF become
// surrogate pairs, bytes that are not UTF-8 become U+FFFD.
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

// JSON returns the JSON form of v as a UTF-8 payload.
func JSON(v any) (Payload, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return Payload{}, fmt.Errorf("protocol: encode payload: %w", err)
	}
	return Payload{UTF8, data}, nil
}

// Text returns the payload as a string. Surrogate pairs of UTF-16 become the
// character they stand for; a lone surrogate, and an odd last byte, become
// U+FFFD. The bytes of other payloads are returned as they are.
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

// DecodeJSON stores the payload, which holds JSON in any of the encodings, in
// the value that v points to, by the rules of encoding/json.
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
