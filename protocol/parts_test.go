package protocol_test

import (
	"bytes"
	"testing"

	"github.com/webwire-go/webwire/protocol"
)

// The parts of a message are its bytes, and what Parse reads there.
func TestParts(t *testing.T) {
	for variant, vs := range readVectors(t) {
		v := versionOf(t, variant)
		for _, c := range vs.Valid {
			b := unhex(t, c.Hex)
			m, err := v.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			parts := partsOf(t, v, b)
			id := parts["id"]
			for part, want := range map[string][]byte{
				"type": b[:1], "head": m.Head, "name": []byte(m.Name), "payload": m.Payload.Data,
			} {
				if !bytes.Equal(parts[part], want) {
					t.Errorf("%v %s: %s %x, want %x", v, c.Name, part, parts[part], want)
				}
			}
			if id != nil && !bytes.Equal(id, m.ID[:]) || id == nil && m.ID != (protocol.ID{}) {
				t.Errorf("%v %s: id %x, want %v", v, c.Name, id, m.ID)
			}
			if has := parts["ref"] != nil; !has && m.Ref != 0 || has && len(parts["ref"]) != 4 {
				t.Errorf("%v %s: ref %x", v, c.Name, parts["ref"])
			}
			if has := parts["number"] != nil; !has && m.Number != 0 || has && len(parts["number"]) != 8 {
				t.Errorf("%v %s: number %x", v, c.Name, parts["number"])
			}
		}
		for _, c := range vs.Invalid {
			partsOf(t, v, unhex(t, c.Hex))
		}
	}
	if parts := partsOf(t, 0, []byte{127, 1}); len(parts) != 2 || parts["rest"] == nil {
		t.Errorf("unknown version: %x", parts)
	}
	if parts := protocol.V2_0.Parts(nil); parts != nil {
		t.Errorf("no bytes: %x", parts)
	}
}

// Where a message cannot be read on, its parts end too.
func TestPartsOfBrokenMessages(t *testing.T) {
	for hex, want := range map[string]string{
		"7f01020304":             "id 01020304",
		"7f00010203040506070568": "name 68",
		"810001020304050607":     "id 0001020304050607",
		"16ff":                   "rest ff",
		"fe00":                   "rest 00",
	} {
		parts := protocol.V1_5.Parts(unhex(t, hex))
		last := parts[len(parts)-1]
		if got := last.Name + " " + hexOf(string(last.Bytes)); got != want {
			t.Errorf("%s: the last part is %s, want %s", hex, got, want)
		}
	}
}

// partsOf returns the parts by name, and checks that they are all of b.
func partsOf(t *testing.T, v protocol.Version, b []byte) map[string][]byte {
	t.Helper()
	parts := map[string][]byte{}
	var all []byte
	for _, p := range v.Parts(b) {
		if _, twice := parts[p.Name]; twice || len(p.Bytes) == 0 {
			t.Errorf("%v %x: part %s twice, or empty", v, b, p.Name)
		}
		parts[p.Name] = p.Bytes
		all = append(all, p.Bytes...)
	}
	if !bytes.Equal(all, b) {
		t.Errorf("%v %x: the parts are %x", v, b, all)
	}
	return parts
}
