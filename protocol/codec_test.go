package protocol_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// Every type byte in every length up to 64, with several fillings: Parse returns
// a message or ErrMalformed, and what it returns with an error is what it says.
func TestParseEverything(t *testing.T) {
	for _, v := range protocol.Versions() {
		for typ := range 256 {
			for size := range 65 {
				for _, fill := range []byte{0, 1, 2, ' ', 63, 255} {
					b := bytes.Repeat([]byte{fill}, size)
					if size > 0 {
						b[0] = byte(typ)
					}
					checkParse(t, v, b)
				}
			}
		}
	}
}

// checkParse parses b and checks all that is promised about the result.
func checkParse(t *testing.T, v protocol.Version, b []byte) {
	t.Helper()
	m, err := v.Parse(b)
	if err != nil {
		if !errors.Is(err, protocol.ErrMalformed) {
			t.Fatalf("%v: %x: error %v", v, b, err)
		}
		if m.Name != "" || m.Payload.Data != nil {
			t.Fatalf("%v: %x: malformed, but with content: %+v", v, b, m)
		}
		if m.ID != (protocol.ID{}) && !bytes.Equal(m.ID[:], b[1:9]) {
			t.Fatalf("%v: %x: id %v", v, b, m.ID)
		}
		return
	}
	again, err := v.Append(nil, m)
	if err != nil {
		// Parse is lenient about the bytes of names, Append is not.
		if strings.Contains(err.Error(), "outside 32 to 126") && strings.IndexFunc(m.Name, notName) >= 0 {
			return
		}
		t.Fatalf("%v: %x parses to %+v, which cannot be appended: %v", v, b, m, err)
	}
	back, err := v.Parse(again)
	if err != nil || !reflect.DeepEqual(m, back) {
		t.Fatalf("%v: %x parses to\n%+v, again to\n%+v, %v", v, b, m, back, err)
	}
}

func notName(r rune) bool { return r < 32 || r > 126 }

// The id of a malformed message is known if all of its bytes are there: a server
// can answer it.
func TestParseMalformedID(t *testing.T) {
	for _, test := range []struct {
		hex  string
		kind protocol.Kind
		id   string
	}{
		{"", 0, "0000000000000000"},
		{"07", 0, "0000000000000000"},
		{"7f01020304050607", protocol.Request, "0000000000000000"},
		{"7f0102030405060708", protocol.Request, "0102030405060708"},
		{"7f010203040506070805", protocol.Request, "0102030405060708"},
		{"810102030405060708014100ff", protocol.Request, "0102030405060708"},
		{"1f010203040506070800", protocol.CloseSession, "0102030405060708"},
		{"200102030405060708", protocol.RestoreSession, "0102030405060708"},
		{"41004100ff", protocol.Signal, "0000000000000000"},
	} {
		m, err := protocol.V1_4.Parse(unhex(t, test.hex))
		if err == nil || m.Kind != test.kind || m.ID.String() != test.id {
			t.Errorf("%s: %v of %v, %v", test.hex, m.Kind, m.ID, err)
		}
	}
}

func TestUnknownVersion(t *testing.T) {
	for _, v := range []protocol.Version{0, 0x0100, 0x0106, 0x0201, 0x0301} {
		if _, err := v.Parse([]byte{22}); !errors.Is(err, protocol.ErrVersion) {
			t.Errorf("%v: Parse: %v", v, err)
		}
		dst := []byte("kept")
		if got, err := v.Append(dst, protocol.Message{Kind: protocol.SessionClosed}); !errors.Is(err, protocol.ErrVersion) || string(got) != "kept" {
			t.Errorf("%v: Append: %q, %v", v, got, err)
		}
		if got, err := v.AppendSession(dst, protocol.Session{Key: "k"}); !errors.Is(err, protocol.ErrVersion) || string(got) != "kept" {
			t.Errorf("%v: AppendSession: %q, %v", v, got, err)
		}
		if v.Known() {
			t.Errorf("%v is known", v)
		}
	}
}

// What a kind of message consists of, by version: an appended message of those
// parts and of no others. The letters are id, name, payload.
func TestAppendRules(t *testing.T) {
	long := strings.Repeat("n", 255)
	for _, test := range []struct {
		message protocol.Message
		ok      string // the versions that have such messages
	}{
		{protocol.Message{}, ""},
		{protocol.Message{Kind: 200}, ""},
		{request("", protocol.Payload{}), ""},
		{request("n", protocol.Payload{}), "1.3 1.4 1.5 2.0 3.0"},
		{request("n", protocol.Text("")), "1.3 1.4 1.5 2.0 3.0"},
		{request("n", protocol.UTF16Text("")), "1.3 1.4 1.5 2.0 3.0"},
		{request("nn", protocol.UTF16Text("")), "1.3 1.4 1.5 2.0 3.0"},
		{request("", protocol.Text("x")), "all"},
		{request(long, protocol.Text("x")), "all"},
		{request(long+"n", protocol.Text("x")), ""},
		{request(" ~", protocol.Text("x")), "all"},
		{request("name\x1f", protocol.Text("x")), ""},
		{request("eight by\x7f", protocol.Text("x")), ""},
		{request("\x80eight bytes", protocol.Text("x")), ""},
		{request("n", protocol.Payload{Encoding: protocol.UTF16, Data: []byte("odd")}), ""},
		{request("n", protocol.Payload{Encoding: 3, Data: []byte("x")}), ""},
		{signal("n", protocol.Payload{}), "2.0 3.0"},
		{signal("n", protocol.Text("")), "2.0 3.0"},
		{signal("n", protocol.UTF16Text("")), "3.0"},
		{signal("", protocol.Bytes([]byte{0})), "all"},
		{protocol.Message{Kind: protocol.Reply, Name: "n"}, ""},
		{protocol.Message{Kind: protocol.Reply}, "all"},
		{protocol.Message{Kind: protocol.Reply, Payload: protocol.UTF16Text("")}, "all"},
		{protocol.Message{Kind: protocol.ReplyError, Name: "C", Payload: protocol.Text("")}, "all"},
		{protocol.Message{Kind: protocol.ReplyError, Name: "C"}, ""}, // not text
		{protocol.Message{Kind: protocol.ReplyError, Payload: protocol.Text("")}, ""},
		{protocol.Message{Kind: protocol.ReplyError, Name: long, Payload: protocol.Text("")}, "all"},
		{protocol.Message{Kind: protocol.ReplyError, Name: long + "n", Payload: protocol.Text("")}, ""},
		{protocol.Message{Kind: protocol.ReplyError, Name: "a\nb", Payload: protocol.Text("")}, ""},
		{protocol.Message{Kind: protocol.ReplyError, Name: "é", Payload: protocol.Text("")}, ""},
		{protocol.Message{Kind: protocol.ReplyError, Name: "a\xff", Payload: protocol.Text("")}, ""},
		{protocol.Message{Kind: protocol.ReplyShutdown}, "1.2 1.3 1.4 1.5 2.0"},
		{protocol.Message{Kind: protocol.ReplyShutdown, Payload: protocol.Bytes([]byte{0})}, ""},
		{protocol.Message{Kind: protocol.ReplyShutdown, Name: "n"}, ""},
		{protocol.Message{Kind: protocol.ReplyProtocolError}, "1.4 1.5"},
		{protocol.Message{Kind: protocol.CloseSession}, "all"},
		{protocol.Message{Kind: protocol.CloseSession, Payload: protocol.Bytes([]byte{0})}, ""},
		{protocol.Message{Kind: protocol.RestoreSession, Payload: protocol.Text("key")}, "all"},
		{protocol.Message{Kind: protocol.RestoreSession, Payload: protocol.Bytes([]byte("key"))}, ""},
		{protocol.Message{Kind: protocol.RestoreSession, Payload: protocol.Text("")}, ""},
		{protocol.Message{Kind: protocol.SessionCreated, Payload: protocol.Text("{}")}, "all"},
		{protocol.Message{Kind: protocol.SessionClosed}, "all"},
		{protocol.Message{Kind: protocol.Heartbeat}, "1.5 2.0"},
		{protocol.Conf{}.Message(), "2.0"},
		{protocol.Message{Kind: protocol.AcceptConf, Payload: protocol.Bytes(make([]byte, 9))}, ""},
	} {
		for _, v := range protocol.Versions() {
			want := test.ok == "all" || strings.Contains(test.ok, v.String())
			got, err := v.Append([]byte("kept"), test.message)
			switch {
			case want && err != nil:
				t.Errorf("%v: %+v: %v", v, test.message, err)
			case !want && (!errors.Is(err, protocol.ErrMalformed) || string(got) != "kept"):
				t.Errorf("%v: %+v: %q, %v", v, test.message, got, err)
			}
		}
	}
}

func request(name string, p protocol.Payload) protocol.Message {
	return protocol.Message{Kind: protocol.Request, ID: protocol.NewID(1), Name: name, Payload: p}
}

func signal(name string, p protocol.Payload) protocol.Message {
	return protocol.Message{Kind: protocol.Signal, Name: name, Payload: p}
}

// A pad byte follows an odd name, never an even one, wherever in dst the message
// begins.
func TestAppendPads(t *testing.T) {
	for before := range 4 {
		for name := range 256 {
			m := request(strings.Repeat("n", name), protocol.UTF16Text("xy"))
			dst := slices.Repeat([]byte{0xff}, before+300)[:before]
			b, err := protocol.V1_2.Append(dst, m)
			if err != nil {
				t.Fatal(err)
			}
			want := make([]byte, 0, 300)
			want = append(want, 129, 1, 0, 0, 0, 0, 0, 0, 0, byte(name))
			want = append(want, m.Name...)
			if name%2 == 1 {
				want = append(want, 0)
			}
			want = append(want, 'x', 0, 'y', 0)
			if !bytes.Equal(b[before:], want) {
				t.Fatalf("%x, want %x", b[before:], want)
			}
		}
	}
}

// A reader ignores what the pad byte is.
func TestParsePad(t *testing.T) {
	m, err := protocol.V1_2.Parse(unhex(t, "4101aaff7800"))
	if err != nil || m.Payload.Text() != "x" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestNoAllocations(t *testing.T) {
	messages := []protocol.Message{
		request("chat.say", protocol.Text("hello")),
		request("odd", protocol.UTF16Text("hello")),
		signal("n", protocol.Bytes([]byte{0})),
		{Kind: protocol.Reply, Payload: protocol.UTF16Text("x")},
		{Kind: protocol.ReplyInternalError},
		{Kind: protocol.RestoreSession, Payload: protocol.Text("key")},
		{Kind: protocol.SessionClosed},
		{}, // refused
		{Kind: protocol.Ack, Number: 32},
		{Kind: protocol.Credit, Number: 98304},
		{Kind: protocol.Publication, Ref: 7, Number: 9, Name: "n"},
		{Kind: protocol.Request, Name: "n", Head: protocol.Head(nil).AppendDeadline(time.Second).AppendMetadata("k", "v")},
	}
	for _, v := range protocol.Versions() {
		for _, m := range messages {
			buf := make([]byte, 0, len(m.Head)+len(m.Name)+len(m.Payload.Data)+room(v))
			if n := testing.AllocsPerRun(100, func() { buf, _ = v.Append(buf[:0], m) }); n != 0 {
				t.Errorf("%v: Append of a %v allocates %v times", v, m.Kind, n)
			}
			if n := testing.AllocsPerRun(100, func() { _, _ = v.Append(nil, m) }); n > 1 {
				t.Errorf("%v: Append of a %v to nil allocates %v times", v, m.Kind, n)
			}
			if n := testing.AllocsPerRun(100, func() { m, _ = v.Parse(buf) }); n != 0 {
				t.Errorf("%v: Parse of a %v allocates %v times", v, m.Kind, n)
			}
		}
	}
	for variant, vs := range readVectors(t) {
		v := versionOf(t, variant)
		for _, c := range vs.Invalid {
			b := unhex(t, c.Hex)
			if m, err := v.Parse(b); err == nil && m.Name != "" {
				continue // early 1.3 rejected it
			}
			if n := testing.AllocsPerRun(10, func() { _, _ = v.Parse(b) }); n != 0 {
				t.Errorf("Parse allocates %v times for %s", n, c.Hex)
			}
		}
	}
}

// room is what Append may need besides the head, the name and the payload.
func room(v protocol.Version) int {
	if v < protocol.V3_0 {
		return 11
	}
	return 17
}

// The payload that Parse returns refers to its argument; the name does not, for a Go
// string never changes: it may be the key of a map.
func TestAliasing(t *testing.T) {
	b := unhex(t, "3f016e0102")
	m, err := protocol.V1_2.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	clone := m.Clone(nil)
	b[2], b[3] = 'x', 9
	if m.Name != "n" || m.Payload.Data[0] != 9 {
		t.Errorf("after its bytes changed the message is %+v", m)
	}
	if clone.Name != "n" || !bytes.Equal(clone.Payload.Data, []byte{1, 2}) {
		t.Errorf("clone changed: %+v", clone)
	}
}

// However many names are parsed, each message has its own, and memory does not grow.
func TestManyNames(t *testing.T) {
	var kept []string
	for i := range 10_000 {
		name := fmt.Sprintf("%0*d", 4+i%200, i)
		b, err := protocol.V1_2.Append(nil, request(name, protocol.Text("x")))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			m, err := protocol.V1_2.Parse(b)
			if err != nil || m.Name != name {
				t.Fatalf("the name of %q is %q (%v)", name, m.Name, err)
			}
			kept = append(kept, m.Name)
		}
		clear(b)
	}
	for i, name := range kept {
		if want := fmt.Sprintf("%0*d", 4+i/2%200, i/2); name != want {
			t.Fatalf("%q became %q", want, name)
		}
	}
}

func TestClone(t *testing.T) {
	for _, m := range []protocol.Message{
		{Kind: protocol.SessionClosed},
		request("name", protocol.Payload{Encoding: protocol.UTF8}),
		request("", protocol.Text("payload")),
		request("name", protocol.UTF16Text("payload")),
		{Kind: protocol.Request, Head: protocol.Head("head")},
		{Kind: protocol.Request, Head: protocol.Head("head"), Payload: protocol.Text("payload")},
		{Kind: protocol.Request, Head: protocol.Head{}},
	} {
		for _, space := range [][]byte{nil, make([]byte, 3), make([]byte, 0, 100)} {
			clone := m.Clone(space)
			if !reflect.DeepEqual(clone, normal(m)) {
				t.Errorf("clone of %+v is %+v", m, clone)
			}
			if size := len(m.Payload.Data); size > 0 && cap(space) >= size {
				if first := space[:size]; string(first) != string(m.Payload.Data) {
					t.Errorf("space has %q, want %q", first, m.Payload.Data)
				}
			}
			if grown := append(clone.Payload.Data, 1); cap(space) > 50 && len(clone.Payload.Data) > 0 && &grown[0] == &clone.Payload.Data[0] {
				t.Error("the clone's payload has room behind it")
			}
		}
	}
}

// normal returns m with no payload where there is an empty one.
func normal(m protocol.Message) protocol.Message {
	if len(m.Payload.Data) == 0 {
		m.Payload.Data = nil
	}
	if len(m.Head) == 0 {
		m.Head = nil
	}
	return m
}

func TestKinds(t *testing.T) {
	last := protocol.Presence
	if got := fmt.Sprint(protocol.Kind(0), protocol.Request, protocol.AcceptConf, last+1); got != "unknown request accept-conf unknown" {
		t.Error(got)
	}
	names := map[string]bool{}
	for k := protocol.Kind(0); k <= last+1; k++ {
		known := k >= protocol.Request && k <= last
		if (k.String() != "unknown") != known || known && names[k.String()] {
			t.Errorf("kind %d is %q", k, k)
		}
		names[k.String()] = true
		sent := false
		for _, v := range protocol.Versions() {
			sent = sent || v.FromClient(k) || v.FromServer(k)
			if v == protocol.V3_0 {
				continue
			}
			if both := v.FromClient(k) && v.FromServer(k); both != (k == protocol.Signal) {
				t.Errorf("%v: %v: both send it: %v", v, k, both)
			}
			if v.Counted(k) {
				t.Errorf("%v: %v is counted", v, k)
			}
		}
		if sent != known {
			t.Errorf("%v: nobody or somebody sends it", k)
		}
		m := protocol.Message{Kind: k, Payload: protocol.Text("{}")}
		if k == protocol.ReplyFailure {
			m.Payload = protocol.Bytes([]byte{1, 0})
		}
		if err := m.Err(); k.IsReply() == errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("%v: IsReply is %v, Err is %v", k, k.IsReply(), err)
		}
	}
}

func TestID(t *testing.T) {
	id := protocol.NewID(0x0102030405060708)
	if id.String() != "0807060504030201" || id.Uint64() != 0x0102030405060708 {
		t.Errorf("%v is %x", id, id.Uint64())
	}
	if got := hex.EncodeToString(id[:]); got != id.String() {
		t.Error(got)
	}
}
