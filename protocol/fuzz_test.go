package protocol_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/webwire-go/webwire/protocol"
)

func FuzzParse(f *testing.F) {
	for variant, vs := range readVectors(f) {
		v := versionOf(f, variant)
		for _, c := range vs.Valid {
			f.Add(byte(v.Major()), byte(v.Minor()), unhex(f, c.Hex))
		}
		for _, c := range vs.Invalid {
			f.Add(byte(v.Major()), byte(v.Minor()), unhex(f, c.Hex))
		}
	}
	f.Fuzz(func(t *testing.T, major, minor byte, b []byte) {
		v := protocol.Version(major)<<8 | protocol.Version(minor)
		if !v.Known() {
			v = protocol.Versions()[int(minor)%len(protocol.Versions())]
		}
		checkParse(t, v, b)
		// None of these may panic, whatever the message.
		m, _ := v.Parse(b)
		_ = m.Err()
		_, _ = m.Conf()
		_ = m.Payload.Text()
	})
}

// What Append accepts Parse returns.
func FuzzAppend(f *testing.F) {
	f.Add(byte(0), byte(protocol.Request), byte(protocol.UTF8), uint64(1), "name", []byte("payload"))
	f.Add(byte(1), byte(protocol.Signal), byte(protocol.UTF16), uint64(0), "odd", []byte("x\x00"))
	f.Add(byte(4), byte(protocol.ReplyError), byte(protocol.UTF8), uint64(0), "CODE", []byte("<m>"))
	f.Fuzz(func(t *testing.T, which, kind, encoding byte, id uint64, name string, data []byte) {
		v := protocol.Versions()[int(which)%len(protocol.Versions())]
		m := protocol.Message{
			Kind:    protocol.Kind(kind),
			ID:      protocol.NewID(id),
			Name:    name,
			Payload: protocol.Payload{Encoding: protocol.Encoding(encoding), Data: data},
		}
		b, err := v.Append(nil, m)
		if err != nil {
			if !errors.Is(err, protocol.ErrMalformed) || b != nil {
				t.Fatalf("%v: %+v: %x, %v", v, m, b, err)
			}
			return
		}
		got, err := v.Parse(b)
		if err != nil {
			t.Fatalf("%v: %+v appends %x: %v", v, m, b, err)
		}
		if m.Kind == protocol.ReplyError && v == protocol.V1_2 {
			return // TestErrorReplies has those
		}
		// Kinds without an id lose it, payloads without an encoding theirs.
		m.ID = got.ID
		if !reflect.DeepEqual(got, normal(m)) {
			t.Fatalf("%v: %+v comes back as %+v", v, m, got)
		}
	})
}

func FuzzName(f *testing.F) {
	for _, name := range []string{"", "a", "exactly8", "\x1fexactly8", "exactly8\x7f", "seven 7~ \x80", strings.Repeat("~", 256)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		valid := len(name) <= 255
		for i := range len(name) {
			valid = valid && name[i] >= 32 && name[i] <= 126
		}
		_, err := protocol.V1_2.Append(nil, request(name, protocol.Text("x")))
		if valid != (err == nil) {
			t.Fatalf("%q: %v", name, err)
		}
	})
}

// Any byte at any place of a name is judged the same, whatever is around it.
func TestNames(t *testing.T) {
	for size := 1; size <= 24; size++ {
		for place := range size {
			for _, around := range []byte{' ', '~', 'A'} {
				for c := range 256 {
					name := []byte(strings.Repeat(string(rune(around)), size))
					name[place] = byte(c)
					_, err := protocol.V1_2.Append(nil, request(string(name), protocol.Text("x")))
					if valid := c >= 32 && c <= 126; valid != (err == nil) {
						t.Fatalf("%q: %v", name, err)
					}
				}
			}
		}
	}
}

func FuzzUTF16(f *testing.F) {
	for _, text := range []string{"", "ascii", "Грусть", "😀", "a😀b", "\xff", "\xed\xa0\x80", "\uFFFD\uFEFF"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		// As text: what unicode/utf16 makes of it.
		p := protocol.UTF16Text(string(data))
		if got, want := units(p.Data), utf16.Encode([]rune(string(data))); !equal(got, want) {
			t.Fatalf("%q becomes %x, want %x", data, got, want)
		}
		if got, want := p.Text(), string([]rune(string(data))); got != want {
			t.Fatalf("%q comes back as %q", want, got)
		}
		// As units, with whatever surrogates.
		p = protocol.Payload{Encoding: protocol.UTF16, Data: data}
		want := string(utf16.Decode(units(data)))
		if len(data)%2 == 1 {
			want += "\uFFFD"
		}
		if got := p.Text(); got != want {
			t.Fatalf("%x is %q, want %q", data, got, want)
		}
	})
}

func units(b []byte) []uint16 {
	var u []uint16
	for ; len(b) >= 2; b = b[2:] {
		u = append(u, uint16(b[0])|uint16(b[1])<<8)
	}
	return u
}

func equal(a, b []uint16) bool {
	return string(utf16.Decode(a)) == string(utf16.Decode(b)) && len(a) == len(b)
}

func FuzzParseSession(f *testing.F) {
	f.Add([]byte(`{"key":"k","crt":"2018-03-24T00:03:41.123456789+01:00","inf":[1]}`))
	f.Add([]byte(`{"k":"k","c":"2018-03-24T00:03:41Z","l":"0001-01-01T00:00:00Z","i":{"a":1}}`))
	f.Add([]byte(`{"key":"k","crt":null,"inf":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := protocol.ParseSession(data)
		if err != nil {
			if !errors.Is(err, protocol.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		for _, v := range protocol.Versions() {
			b, err := v.AppendSession(nil, s)
			if strings.IndexFunc(s.Key, notName) >= 0 && errors.Is(err, protocol.ErrMalformed) {
				continue
			}
			if err != nil {
				t.Fatalf("%v: %s: %v", v, data, err)
			}
			again, err := protocol.ParseSession(b)
			if err != nil || again.Key != s.Key || !again.Created.Equal(s.Created) {
				t.Fatalf("%v: %s comes back as %s: %v", v, data, b, err)
			}
		}
	})
}

func FuzzConf(f *testing.F) {
	f.Add([]byte{2, 0, 0x60, 0xea, 0, 0, 0, 0x20, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		m := protocol.Message{Kind: protocol.AcceptConf, Payload: protocol.Bytes(data)}
		c, err := m.Conf()
		if (err == nil) != (len(data) >= 10) || err != nil && !errors.Is(err, protocol.ErrMalformed) {
			t.Fatal(err)
		}
		if err == nil && !reflect.DeepEqual(c.Message(), m) {
			t.Fatalf("%x comes back as %x", data, c.Message().Payload.Data)
		}
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte(`{"protocol-version":"1.5","read-timeout":60,"versions":["2.0","9.9","1.5"]}`))
	f.Add([]byte(`{"protocol-version":"1.2"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m protocol.Metadata
		err := json.Unmarshal(data, &m)
		if err != nil || !m.Version.Known() {
			return
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var again protocol.Metadata
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if again.Version != m.Version || !reflect.DeepEqual(again.Versions, m.Versions) {
			t.Fatalf("%s comes back as %s", data, b)
		}
	})
}
