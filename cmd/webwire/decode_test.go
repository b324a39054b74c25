package main

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/webwire-go/webwire/protocol"
)

// A message of each kind is explained, in the version that has it.
func TestDecode(t *testing.T) {
	var text strings.Builder
	for _, c := range []struct{ version, hex string }{
		{"", "7f 0100000000000000 05 6772656574 68656c6c6f"},
		{"", "81 0100000000000000 03 6f6e65 00 68006900"},
		{"1.2", "00 0100000000000000 7b2263223a224e4f5f4e414d45227d"},
		{"1.3", "00 0100000000000000 07 4e4f5f4e414d45 736179"},
		{"", "01 0100000000000000"},
		{"1.5", "01 0100000000000000 ffff"},
		{"", "21"},
		{"2.0", "17 02 00 60ea0000 00000004 63686174"},
		{"", "3f 03 616263 00"},
		{"2.0", "15" + hex.EncodeToString([]byte(`{"k":"key","c":"2017-01-02T03:04:05Z","l":"2017-01-02T03:04:05Z","i":{"a":1}}`))},
		{"2.0", "20 0100000000000000 6b6579"},
	} {
		args := []string{"decode", c.hex}
		if c.version != "" {
			args = append(args, "-version", c.version)
		}
		text.WriteString("$ webwire " + strings.Join(args, " ") + "\n" + must(t, args...) + "\n")
	}
	for _, v := range vectors3(t) {
		text.WriteString("$ webwire decode -version 3.0 " + v + "\n" + must(t, "decode", "-version", "3.0", v) + "\n")
	}
	for _, line := range strings.Split(text.String(), "\n") {
		if len([]rune(line)) > 80 && !strings.HasPrefix(line, "$") {
			t.Errorf("longer than 80 characters: %s", line)
		}
	}
	golden(t, "decode.txt", text.String())
}

// vectors3 returns one message of 3.0 of each type.
func vectors3(t *testing.T) (messages []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "protocol", "testdata", "3.0.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Valid []struct{ Type, Hex string }
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	best := map[string]string{} // the longest message that fits
	var types []string
	for _, v := range vectors.Valid {
		if best[v.Type] == "" {
			types = append(types, v.Type)
		}
		if len(v.Hex) > len(best[v.Type]) && len(v.Hex) < 400 {
			best[v.Type] = v.Hex
		}
	}
	for _, typ := range types {
		messages = append(messages, best[typ])
	}
	return messages
}

// Every vector of every version is explained, and the bytes add up.
func TestDecodeVectors(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "protocol", "testdata", "*.json"))
	if err != nil || len(files) != 8 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var vectors struct {
			Version        string
			Valid, Invalid []struct{ Hex string }
		}
		if err := json.Unmarshal(data, &vectors); err != nil {
			t.Fatal(err)
		}
		v, err := protocol.ParseVersion(vectors.Version)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range append(vectors.Valid, vectors.Invalid...) {
			b, err := hex.DecodeString(c.Hex)
			if err != nil {
				t.Fatal(err)
			}
			d := explain(v, b)
			bad := d.Error != ""
			if early := v == protocol.V1_3 && strings.Contains(file, "1.3.json"); early {
				bad = i >= len(vectors.Valid) // the codec is that of the later 1.3
			}
			if bad != (i >= len(vectors.Valid)) {
				t.Errorf("%s %s: %q", vectors.Version, c.Hex, d.Error)
			}
			all, offset := "", 0
			for _, part := range d.Parts {
				if part.Offset != offset {
					t.Errorf("%s %s: %+v at %d", vectors.Version, c.Hex, part, offset)
				}
				offset += len(part.Hex) / 2
				all += part.Hex
			}
			if all != c.Hex {
				t.Errorf("%s %s: the parts are %s", vectors.Version, c.Hex, all)
			}
		}
	}
}

// What is malformed everywhere is explained as far as it goes; the exit code is 1.
func TestDecodeMalformed(t *testing.T) {
	var text strings.Builder
	for _, args := range [][]string{
		{"decode", "7f010203"},
		{"decode", "-version", "2.0", "8100000000000000000003"},
		{"decode", "-version", "1.2", "ff00"},
		{"decode", "-json", "fe"},
	} {
		r := webwire(t, "", args...)
		text.WriteString("$ webwire " + strings.Join(args, " ") + "\n" + r.stdout + r.stderr + "\n")
		if r.code != exitFailed {
			t.Errorf("%v: exit code %d", args, r.code)
		}
	}
	golden(t, "malformed.txt", text.String())
}

// The bytes may be written in several ways.
func TestDecodeInput(t *testing.T) {
	first := webwire(t, "0x21\n", "decode", "-")
	for _, args := range [][]string{{"21"}, {"0x21"}, {" 2", "1 "}, {"21:"}} {
		if r := webwire(t, "", append([]string{"decode"}, args...)...); r != first || r.code != 0 {
			t.Errorf("%v: %+v, want %+v", args, r, first)
		}
	}
	var d decoded
	if err := json.Unmarshal([]byte(must(t, "decode", "-json", "21")), &d); err != nil || d.Kind != "heartbeat" || len(d.Versions) != 2 {
		t.Errorf("%+v, %v", d, err)
	}
}
