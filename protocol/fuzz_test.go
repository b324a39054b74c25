package protocol_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/webwire-go/webwire/protocol"
)

// One target for each version, so that each gets its time.

func FuzzParse1_2(f *testing.F) { fuzzParse(f, protocol.V1_2) }
func FuzzParse1_3(f *testing.F) { fuzzParse(f, protocol.V1_3) }
func FuzzParse1_4(f *testing.F) { fuzzParse(f, protocol.V1_4) }
func FuzzParse1_5(f *testing.F) { fuzzParse(f, protocol.V1_5) }
func FuzzParse2_0(f *testing.F) { fuzzParse(f, protocol.V2_0) }
func FuzzParse3_0(f *testing.F) { fuzzParse(f, protocol.V3_0) }

func fuzzParse(f *testing.F, v protocol.Version) {
	for _, vs := range readVectors(f) { // those of other versions too
		for _, c := range vs.Valid {
			f.Add(unhex(f, c.Hex))
		}
		for _, c := range vs.Invalid {
			f.Add(unhex(f, c.Hex))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		checkParse(t, v, b)
		partsOf(t, v, b)
		// None of these may panic, whatever the message.
		m, _ := v.Parse(b)
		_ = m.Err()
		_, _ = m.Conf()
		_ = m.Payload.Text()
	})
}

// What Append accepts Parse returns.
func FuzzAppend(f *testing.F) {
	f.Add(byte(0), byte(protocol.Request), byte(protocol.UTF8), uint64(1), "name", []byte("payload"), []byte{}, uint32(0), uint64(0))
	f.Add(byte(1), byte(protocol.Signal), byte(protocol.UTF16), uint64(0), "odd", []byte("x\x00"), []byte{}, uint32(0), uint64(0))
	f.Add(byte(5), byte(protocol.ReplyError), byte(protocol.UTF8), uint64(0), "CODE", []byte("<m>"), []byte{}, uint32(0), uint64(0))
	f.Add(byte(0), byte(protocol.Publication), byte(protocol.UTF16), uint64(0), "odd", []byte("x\x00"), []byte("\x28\x01\x00x"), uint32(7), uint64(9))
	f.Fuzz(func(t *testing.T, which, kind, encoding byte, id uint64, name string, data, head []byte, ref uint32, number uint64) {
		v := anyVersion(which)
		m := protocol.Message{
			Kind:    protocol.Kind(kind),
			ID:      protocol.NewID(id),
			Name:    name,
			Payload: protocol.Payload{Encoding: protocol.Encoding(encoding), Data: data},
			Ref:     ref,
			Number:  number,
			Head:    head,
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
		// Kinds that have no such part lose it.
		if got.ID == (protocol.ID{}) {
			m.ID = got.ID
		}
		if got.Ref == 0 {
			m.Ref = 0
		}
		if got.Number == 0 {
			m.Number = 0
		}
		if got.Head == nil {
			m.Head = nil
		}
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
	f.Add([]byte{3, 0, 0x60, 0xea, 0, 0, 0, 0x20, 0, 0, 0, 0, 1, 0, 16, 0, 'x'})
	f.Fuzz(func(t *testing.T, data []byte) {
		m := protocol.Message{Kind: protocol.AcceptConf, Payload: protocol.Bytes(data)}
		c, err := m.Conf()
		size := 0
		if len(data) >= 16 && data[0] == 3 {
			size = int(uint32(data[6]) | uint32(data[7])<<8 | uint32(data[8])<<16 | uint32(data[9])<<24)
		}
		valid := len(data) >= 10 && (size == 0 || size >= 1024)
		if (err == nil) != valid || err != nil && !errors.Is(err, protocol.ErrMalformed) {
			t.Fatal(err)
		}
		if err == nil && data[0] == 3 && len(data) < 16 {
			return // read as 2.0
		}
		if err == nil && !reflect.DeepEqual(c.Message(), m) {
			t.Fatalf("%x comes back as %x", data, c.Message().Payload.Data)
		}
	})
}

// FuzzBodies parses any payload as that of each kind that has a structure. What is
// accepted comes back the same.
func FuzzBodies(f *testing.F) {
	for _, c := range validVectors3() {
		if m, err := protocol.V3_0.Parse([]byte(c.wire)); err == nil && c.fields["content"] != nil {
			f.Add(byte(m.Kind), m.Ref, m.Payload.Data)
		}
	}
	for _, c := range invalidVectors3() {
		if m, err := protocol.V3_0.Parse([]byte(c.wire)); err == nil {
			f.Add(byte(m.Kind), m.Ref, m.Payload.Data)
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, ref uint32, data []byte) {
		m := protocol.Message{Kind: protocol.Kind(kind), Ref: ref, Payload: protocol.Bytes(data)}
		content, again, err := contentOf(m)
		switch {
		case err != nil:
			if !errors.Is(err, protocol.ErrMalformed) {
				t.Fatalf("%+v: %v", m, err)
			}
			return
		case content == nil:
			return
		}
		b, err := protocol.V3_0.Append(nil, m)
		if err != nil {
			t.Fatalf("%+v has the content %v, but cannot be sent: %v", m, content, err)
		}
		parsed, err := protocol.V3_0.Parse(b)
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		if m.Kind == protocol.ReplyFailure && !utf8.Valid(data) {
			return // senders make text valid
		}
		again.Ref = parsed.Ref // where the kind has none it is lost
		if !reflect.DeepEqual(again, parsed) {
			t.Fatalf("%v comes back as\n%+v, want\n%+v", content, again, parsed)
		}
	})
}

func FuzzPosition(f *testing.F) {
	f.Add([]byte(u64(1) + u64(largest3)))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := protocol.Bytes(data).Position()
		if err != nil {
			if !errors.Is(err, protocol.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if got := p.Payload(); !bytes.Equal(got.Data, data) {
			t.Fatalf("%x comes back as %x", data, got.Data)
		}
	})
}

// FuzzHead takes any bytes for a head: the methods do not panic, and those of a head that
// may be sent find what is in it.
func FuzzHead(f *testing.F) {
	for _, c := range validVectors3() {
		if m, err := protocol.V3_0.Parse([]byte(c.wire)); err == nil && m.Head != nil {
			f.Add([]byte(m.Head))
		}
	}
	f.Add([]byte("\x01\x04\x00abcd\x02"))
	f.Add([]byte("\x40\x02\x00a\x00\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h := protocol.Head(data)
		first := map[protocol.Tag]string{}
		size, metadata := 0, 0
		var again, critical protocol.Head
		for tag, value := range h.Fields() {
			size += 3 + len(value)
			if _, ok := first[tag]; !ok {
				first[tag] = string(value)
			}
			if tag >= 128 {
				critical = critical.Append(tag, value)
			}
			again = again.Append(tag, value)
		}
		for key, value := range h.Metadata() {
			metadata++
			h2 := protocol.Head(nil).AppendMetadata(string(key), string(value))
			for k, v := range h2.Metadata() {
				if len(key) > 0 && (!bytes.Equal(k, key) || !bytes.Equal(v, value)) {
					t.Fatalf("%q=%q comes back as %q=%q", key, value, k, v)
				}
			}
		}
		for tag, value := range first {
			if got, ok := h.Field(tag); !ok || string(got) != value {
				t.Fatalf("%x: field %d is %x, %v", data, tag, got, ok)
			}
		}
		deadline, hasDeadline := h.Deadline()
		trace, hasTrace := h.Trace()
		_, _ = h.Client()
		if _, ok := h.Unsupported(); ok != (critical != nil) {
			t.Fatalf("%x: unsupported is %v", data, ok)
		}
		m := protocol.Message{Kind: protocol.Signal, Name: "n", Head: h}
		if _, err := protocol.V3_0.Append(nil, m); err != nil {
			return
		}
		if size != len(data) || !bytes.Equal(again, data) {
			t.Fatalf("%x comes back as %x", data, again)
		}
		if _, ok := first[protocol.TagDeadline]; ok != hasDeadline {
			t.Fatalf("%x: deadline %v, %v", data, deadline, hasDeadline)
		}
		if value, ok := first[protocol.TagTrace]; hasTrace && (!ok || string(protocol.Head(nil).AppendTrace(trace)[3:]) != value) {
			t.Fatalf("%x: trace context %v", data, trace)
		}
		if hasTrace {
			if parsed, err := protocol.ParseTraceparent(trace.String()); err != nil || parsed != trace {
				t.Fatalf("%v comes back as %v, %v", trace, parsed, err)
			}
		}
	})
}

func FuzzTraceparent(f *testing.F) {
	f.Add("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	f.Add("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x")
	f.Fuzz(func(t *testing.T, text string) {
		tc, err := protocol.ParseTraceparent(text)
		switch {
		case err != nil && !errors.Is(err, protocol.ErrMalformed):
			t.Fatal(err)
		case err == nil && tc.String()[2:] != text[2:55]:
			t.Fatalf("%q comes back as %q", text, tc)
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

// anyVersion returns the version that a number of a fuzzer stands for.
func anyVersion(n byte) protocol.Version {
	all := protocol.Versions()
	return all[int(n)%len(all)]
}
