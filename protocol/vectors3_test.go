package protocol_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// The vectors of 3.0 are our own. Their bytes are put together here, by hand and not by
// the codec, and are written to testdata with:
//
//	go test ./protocol -run TestVectors3 -update

var update = flag.Bool("update", false, "write testdata/3.0.json")

const vectors3 = "testdata/3.0.json"

// The numbers of the wire, little endian.

func u8(n int) string     { return string([]byte{byte(n)}) }
func u16(n int) string    { return string(binary.LittleEndian.AppendUint16(nil, uint16(n))) }
func u32(n int) string    { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
func u64(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }

// head is a head of the fields, with its length before it.
func head(fields ...string) string {
	all := strings.Join(fields, "")
	return u16(len(all)) + all
}

func field(tag int, value string) string { return u8(tag) + u16(len(value)) + value }

func name(text string) string { return u8(len(text)) + text }

const (
	id3     = "\x01\x00\x00\x00\x00\x00\x00\x00"
	conn3   = "0123456789abcdef"
	secret3 = "fedcba9876543210"
	trace3  = "\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36\x00\xf0\x67\xaa\x0b\xa9\x02\xb7\x01"

	largest3  uint64 = 1<<53 - 1
	largest32 uint32 = 1<<32 - 1
)

type object = map[string]any

// valid3 is a message and what is to be read of it. Fields are named as in the vectors of
// the other versions; what is only in 3.0 is in head, ref, number and content.
type valid3 struct {
	name, from, kind, wire string
	fields                 object
}

func hexOf(text string) string { return hex.EncodeToString([]byte(text)) }

func headOf(fields ...any) []object {
	var list []object
	for i := 0; i < len(fields); i += 2 {
		list = append(list, object{"tag": fields[i], "value": hexOf(fields[i+1].(string))})
	}
	return list
}

func validVectors3() []valid3 {
	var all []valid3
	add := func(name, from, kind, wire string, fields object) {
		if fields == nil {
			fields = object{}
		}
		for _, from := range strings.Fields(from) {
			all = append(all, valid3{name, from, kind, wire, fields})
		}
	}
	const both = "c2s s2c"

	add("conf", "s2c", "accept-conf", u8(23)+"\x03\x00"+u32(60_000)+u32(4<<20)+u32(65536)+u16(128), object{
		"major": 3, "minor": 0, "read_timeout_ms": 60_000, "message_buffer_size": 4 << 20,
		"stream_credit": 65536, "requests": 128, "sub_protocol_hex": "",
	})
	add("conf-sub-protocol", "s2c", "accept-conf", u8(23)+"\x03\x00"+u32(0)+u32(0)+u32(0)+u16(0)+"chat", object{
		"major": 3, "minor": 0, "read_timeout_ms": 0, "message_buffer_size": 0,
		"stream_credit": 0, "requests": 0, "sub_protocol_hex": hexOf("chat"),
	})
	add("conf-least", "s2c", "accept-conf", u8(23)+"\x03\x00"+u32(1)+u32(1024)+u32(1)+u16(65535), object{
		"major": 3, "minor": 0, "read_timeout_ms": 1, "message_buffer_size": 1024,
		"stream_credit": 1, "requests": 65535, "sub_protocol_hex": "",
	})

	hello := object{"message_size": 1 << 20, "stream_credit": 65536, "requests": 16, "resume": nil}
	add("hello", "c2s", "hello", u8(24)+head()+u8(0)+u32(1<<20)+u32(65536)+u16(16), object{"content": hello})
	add("hello-none", "c2s", "hello", u8(24)+head()+u8(0)+u32(0)+u32(0)+u16(0), object{
		"content": object{"message_size": 0, "stream_credit": 0, "requests": 0, "resume": nil},
	})
	add("hello-credentials", "c2s", "hello",
		u8(24)+head(field(6, "token"), field(7, "webwire-js\x001.0"))+u8(0)+u32(1<<20)+u32(65536)+u16(16),
		object{"content": hello, "head": headOf(6, "token", 7, "webwire-js\x001.0")})
	add("hello-resume", "c2s", "hello",
		u8(24)+head()+u8(1)+u32(1<<20)+u32(65536)+u16(16)+conn3+secret3+u32(2)+u64(41)+u64(7),
		object{"content": object{
			"message_size": 1 << 20, "stream_credit": 65536, "requests": 16, "resume": object{
				"conn": hexOf(conn3), "secret": hexOf(secret3), "attempt": 2, "received": 41, "first_kept": 7,
			},
		}})

	for outcome := range 8 {
		if outcome != 6 {
			add(fmt.Sprintf("welcome-%d", outcome), "s2c", "welcome",
				u8(25)+u8(outcome)+conn3+secret3+u32(120_000)+u32(256<<10)+u64(6)+u64(42)+u16(outcome),
				object{"content": object{
					"outcome": outcome, "conn": hexOf(conn3), "secret": hexOf(secret3), "window_ms": 120_000,
					"ring": 256 << 10, "received": 6, "from": 42, "late": outcome,
				}})
		}
	}
	add("welcome-largest", "s2c", "welcome",
		u8(25)+u8(1)+conn3+secret3+u32(-1)+u32(1<<31-1)+u64(largest3)+u64(largest3)+u16(-1),
		object{"content": object{
			"outcome": 1, "conn": hexOf(conn3), "secret": hexOf(secret3), "window_ms": largest32,
			"ring": 1<<31 - 1, "received": largest3, "from": largest3, "late": 65535,
		}})

	add("ack", both, "ack", u8(8)+u64(32), object{"number": 32})
	add("ack-zero", both, "ack", u8(8)+u64(0), object{"number": 0})
	add("ack-largest", both, "ack", u8(8)+u64(largest3), object{"number": largest3})
	for reason := range 4 {
		add(fmt.Sprintf("cancel-%d", reason), both, "cancel", u8(9)+id3+u8(reason),
			object{"id": hexOf(id3), "content": object{"reason": reason}})
	}
	add("credit", both, "credit", u8(10)+id3+u64(98304), object{"id": hexOf(id3), "number": 98304})
	add("credit-largest", both, "credit", u8(10)+id3+u64(largest3), object{"id": hexOf(id3), "number": largest3})
	add("drain", "s2c", "drain", u8(11)+u8(0)+u32(10_000)+u32(30_000), object{
		"content": object{"reason": 0, "spread_ms": 10_000, "grace_ms": 30_000, "endpoint": ""},
	})
	add("drain-endpoint", "s2c", "drain", u8(11)+u8(1)+u32(0)+u32(-1)+"wss://b.example/", object{
		"content": object{"reason": 1, "spread_ms": 0, "grace_ms": largest32, "endpoint": "wss://b.example/"},
	})
	add("gap-signals", "s2c", "gap", u8(12)+u32(0)+u64(3)+u64(0)+u64(0), object{
		"ref": 0, "content": object{"lost": 3, "epoch": 0, "offset": 0},
	})
	add("gap-topic", "s2c", "gap", u8(12)+u32(7)+u64(0)+u64(5)+u64(largest3), object{
		"ref": 7, "content": object{"lost": 0, "epoch": 5, "offset": largest3},
	})
	for code := 1; code <= 15; code++ {
		add(fmt.Sprintf("failure-%d", code), both, "failure", u8(13)+id3+u8(code)+u8(code%3), object{
			"id": hexOf(id3), "content": object{"code": code, "executed": code % 3, "text": ""},
		})
	}
	add("failure-text", both, "failure", u8(13)+id3+u8(2)+u8(1)+"Грусть", object{
		"id": hexOf(id3), "content": object{"code": 2, "executed": 1, "text": "Грусть"},
	})

	session := `{"k":"key","c":"2018-03-24T00:03:41Z","l":"2018-03-25T00:03:41Z","i":{"a":1}}`
	add("session-created", "s2c", "session-created", u8(21)+session, object{"session": json.RawMessage(session)})
	add("session-closed", "s2c", "session-closed", u8(22), nil)
	add("close-session", "c2s", "close-session", u8(31)+id3, object{"id": hexOf(id3)})
	add("restore-session", "c2s", "restore-session", u8(32)+id3+"key", object{"id": hexOf(id3), "session_key": "key"})

	add("subscribe", "c2s", "subscribe", u8(34)+id3+u32(7)+u8(0)+u64(0)+u64(0)+"news", object{
		"id": hexOf(id3), "ref": 7, "content": object{"since": nil, "presence": false, "topic": "news"},
	})
	add("subscribe-since", "c2s", "subscribe", u8(34)+id3+u32(-1)+u8(3)+u64(5)+u64(largest3)+"n", object{
		"id": hexOf(id3), "ref": largest32, "content": object{
			"since": object{"epoch": 5, "offset": largest3}, "presence": true, "topic": "n",
		},
	})
	add("unsubscribe", "c2s", "unsubscribe", u8(35)+u32(7), object{"ref": 7})
	for op, data := range []string{`[{"id":"a"}]`, "", `{"id":"b"}`, `{"id":"b"}`, `{"id":"a"}`} {
		add(fmt.Sprintf("presence-%d", op), "s2c", "presence", u8(72)+u32(7)+u8(op)+data, object{
			"ref": 7, "content": object{"op": op, "data": data},
		})
	}

	add("error-reply", both, "error-reply", u8(0)+id3+name("NO_ROOM")+"no kitchen", object{
		"id": hexOf(id3), "error_code": "NO_ROOM", "error_message": "no kitchen",
	})
	add("error-reply-code-only", both, "error-reply", u8(0)+id3+name("C"), object{
		"id": hexOf(id3), "error_code": "C", "error_message": "",
	})

	// Messages with a payload, in every encoding, with heads of even and odd lengths.
	heads := []struct {
		name string
		wire string
		list []object
	}{
		{"none", head(), nil},
		{"deadline", head(field(1, u32(5000))), headOf(1, u32(5000))},
		{
			"all",
			head(field(1, u32(1)), field(2, trace3), field(3, "a=b"), field(4, "c=d"), field(5, ""),
				field(64, "key\x00value"), field(127, "key\x00\x00"), field(40, "unknown"), field(200, "critical")),
			headOf(1, u32(1), 2, trace3, 3, "a=b", 4, "c=d", 5, "",
				64, "key\x00value", 127, "key\x00\x00", 40, "unknown", 200, "critical"),
		},
	}
	for encoding, e := range []string{"binary", "utf8", "utf16"} {
		payload := []string{"\xff\x00", "x", "x\x00"}[encoding]
		pad := func(before string) string {
			if e == "utf16" && len(before)%2 == 1 {
				return "\x00"
			}
			return ""
		}
		for _, h := range heads {
			for _, n := range []string{"", "A", "AB"} {
				for _, p := range []string{payload, ""} {
					fields := object{"encoding": e, "name": n, "payload": hexOf(p)}
					if h.list != nil {
						fields["head"] = h.list
					}
					with := func(key string, value any) object {
						f := object{key: value}
						for k, v := range fields {
							f[k] = v
						}
						return f
					}
					title := fmt.Sprintf("%s-head-%s-name%d-%s%d", "%s", h.name, len(n), e, len(p))
					if n != "" || p != "" {
						wire := u8(63+encoding) + h.wire + name(n)
						add(fmt.Sprintf(title, "signal"), both, "signal-"+e, wire+pad(wire)+p, fields)
						wire = u8(127+encoding) + id3 + h.wire + name(n)
						add(fmt.Sprintf(title, "request"), both, "request-"+e, wire+pad(wire)+p, with("id", hexOf(id3)))
						wire = u8(69+encoding) + u32(7) + u64(9) + h.wire + name(n)
						f := with("ref", 7)
						f["number"] = 9
						add(fmt.Sprintf(title, "publication"), "s2c", "publication-"+e, wire+pad(wire)+p, f)
					}
					if n == "" {
						f := with("id", hexOf(id3))
						delete(f, "name")
						wire := u8(191+encoding) + id3 + h.wire
						add(fmt.Sprintf(title, "reply"), both, "reply-"+e, wire+pad(wire)+p, f)
						if h.list == nil {
							wire = u8(66+encoding) + id3
							add(fmt.Sprintf(title, "item"), both, "item-"+e, wire+pad(wire)+p, f)
						}
					}
				}
			}
		}
	}
	return all
}

type invalid3 struct{ name, wire, reason string }

func invalidVectors3() []invalid3 {
	all := []invalid3{{"empty", "", "no type byte"}}
	add := func(name, wire, reason string) { all = append(all, invalid3{name, wire, reason}) }
	for _, typ := range []int{1, 2, 3, 4, 5, 6, 7, 14, 20, 26, 30, 33, 36, 62, 73, 126, 130, 190, 194, 255} {
		add(fmt.Sprintf("type-%d", typ), u8(typ)+id3, "no message of this version")
	}

	// Every message that is cut off before its last part.
	cut := func(title, wire string, least int) {
		for n := 1; n < least; n++ {
			add(fmt.Sprintf("%s-cut-%d", title, n), wire[:n], "ends too early")
		}
	}
	cut("conf", u8(23)+"\x03\x00"+u32(1)+u32(0)+u32(0)+u16(0), 17)
	cut("hello", u8(24)+head()+u8(0)+u32(0)+u32(0)+u16(0), 14)
	cut("welcome", u8(25)+u8(0)+conn3+secret3+u32(0)+u32(0)+u64(0)+u64(0)+u16(0), 60)
	cut("ack", u8(8)+u64(0), 9)
	cut("cancel", u8(9)+id3+u8(0), 10)
	cut("credit", u8(10)+id3+u64(0), 17)
	cut("drain", u8(11)+u8(0)+u32(0)+u32(0), 10)
	cut("gap", u8(12)+u32(0)+u64(0)+u64(0)+u64(0), 29)
	cut("failure", u8(13)+id3+u8(1)+u8(0), 11)
	cut("subscribe", u8(34)+id3+u32(1)+u8(0)+u64(0)+u64(0)+"t", 31)
	cut("unsubscribe", u8(35)+u32(1), 5)
	cut("presence", u8(72)+u32(1)+u8(0), 6)
	cut("item-utf16", u8(68)+id3+u8(0), 10)
	cut("reply", u8(191)+id3+head(field(1, u32(1))), 18)
	cut("request", u8(128)+id3+head(field(1, u32(1)))+name("n"), 20)
	cut("signal", u8(64)+head(field(1, u32(1)))+name("n"), 12)
	cut("publication", u8(70)+u32(1)+u64(1)+head(field(1, u32(1)))+name("n"), 24)

	// Bytes after the end.
	add("hello-long", u8(24)+head()+u8(0)+u32(0)+u32(0)+u16(0)+"\x00", "bytes after the end")
	add("hello-resume-long", u8(24)+head()+u8(1)+u32(0)+u32(0)+u16(0)+conn3+secret3+u32(1)+u64(0)+u64(0)+"\x00", "bytes after the end")
	add("hello-resume-short", u8(24)+head()+u8(1)+u32(0)+u32(0)+u16(0)+conn3+secret3+u32(1)+u64(0), "ends too early")
	add("hello-resume-missing", u8(24)+head()+u8(1)+u32(0)+u32(0)+u16(0), "ends too early")
	add("hello-resume-unasked", u8(24)+head()+u8(0)+u32(0)+u32(0)+u16(0)+conn3+secret3+u32(1)+u64(0)+u64(0), "bytes after the end")
	add("welcome-long", u8(25)+u8(0)+conn3+secret3+u32(0)+u32(0)+u64(0)+u64(0)+u16(0)+"\x00", "bytes after the end")
	add("ack-long", u8(8)+u64(0)+"\x00", "bytes after the end")
	add("cancel-long", u8(9)+id3+u8(0)+"\x00", "bytes after the end")
	add("credit-long", u8(10)+id3+u64(0)+"\x00", "bytes after the end")
	add("gap-long", u8(12)+u32(0)+u64(0)+u64(0)+u64(0)+"\x00", "bytes after the end")
	add("unsubscribe-long", u8(35)+u32(1)+"\x00", "bytes after the end")
	add("session-closed-long", u8(22)+"\x00", "bytes after the end")
	add("close-session-long", u8(31)+id3+"\x00", "bytes after the end")

	// Values.
	const big = largest3 + 1
	add("ack-big", u8(8)+u64(big), "number of 2^53")
	add("credit-big", u8(10)+id3+u64(big), "number of 2^53")
	add("gap-big-lost", u8(12)+u32(0)+u64(big)+u64(0)+u64(0), "number of 2^53")
	add("gap-big-epoch", u8(12)+u32(0)+u64(0)+u64(big)+u64(0), "number of 2^53")
	add("gap-big-offset", u8(12)+u32(0)+u64(0)+u64(0)+u64(big), "number of 2^53")
	add("publication-big", u8(70)+u32(1)+u64(big)+head()+name("n"), "number of 2^53")
	add("subscribe-big-epoch", u8(34)+id3+u32(1)+u8(1)+u64(big)+u64(0)+"t", "number of 2^53")
	add("subscribe-big-offset", u8(34)+id3+u32(1)+u8(1)+u64(0)+u64(big)+"t", "number of 2^53")
	add("hello-big-received", u8(24)+head()+u8(1)+u32(0)+u32(0)+u16(0)+conn3+secret3+u32(1)+u64(big)+u64(0), "number of 2^53")
	add("hello-big-first-kept", u8(24)+head()+u8(1)+u32(0)+u32(0)+u16(0)+conn3+secret3+u32(1)+u64(0)+u64(big), "number of 2^53")
	add("welcome-big-received", u8(25)+u8(0)+conn3+secret3+u32(0)+u32(0)+u64(big)+u64(0)+u16(0), "number of 2^53")
	add("welcome-big-from", u8(25)+u8(0)+conn3+secret3+u32(0)+u32(0)+u64(0)+u64(big)+u16(0), "number of 2^53")
	add("hello-flag", u8(24)+head()+u8(2)+u32(0)+u32(0)+u16(0), "unknown flag")
	add("hello-least", u8(24)+head()+u8(0)+u32(1023)+u32(0)+u16(0), "longest message below 1 KiB")
	add("conf-least", u8(23)+"\x03\x00"+u32(1)+u32(1023)+u32(0)+u16(0), "longest message below 1 KiB")
	add("welcome-6", u8(25)+u8(6)+conn3+secret3+u32(0)+u32(0)+u64(0)+u64(0)+u16(0), "unknown outcome")
	add("welcome-8", u8(25)+u8(8)+conn3+secret3+u32(0)+u32(0)+u64(0)+u64(0)+u16(0), "unknown outcome")
	add("failure-0", u8(13)+id3+u8(0)+u8(0), "code 0")
	add("failure-executed", u8(13)+id3+u8(1)+u8(3), "unknown value of executed")
	add("subscribe-flag", u8(34)+id3+u32(1)+u8(4)+u64(0)+u64(0)+"t", "unknown flag")
	add("subscribe-ref", u8(34)+id3+u32(0)+u8(0)+u64(0)+u64(0)+"t", "ref 0")
	add("subscribe-position", u8(34)+id3+u32(1)+u8(0)+u64(0)+u64(1)+"t", "position without its flag")
	add("presence-op", u8(72)+u32(1)+u8(5), "unknown op")

	// Heads, in a request with a name.
	inHead := func(title, head, reason string) {
		add("head-"+title, u8(128)+id3+head+name("n"), reason)
	}
	inHead("long", head(field(3, strings.Repeat("x", 8<<10-2))), "head over 8 KiB")
	inHead("tag-only", head("\x03"), "ends inside a field")
	inHead("no-length", head("\x03\x00"), "ends inside a field")
	inHead("short-value", head("\x03\x02\x00x"), "ends inside a field")
	inHead("short-last", head(field(1, u32(1)), "\x03"), "ends inside a field")
	inHead("deadline-short", head(field(1, "\x00\x00\x00")), "deadline of 3 bytes")
	inHead("deadline-long", head(field(1, u32(1)+"\x00")), "deadline of 5 bytes")
	inHead("trace-short", head(field(2, trace3[1:])), "trace context of 24 bytes")
	inHead("trace-long", head(field(2, trace3+"\x00")), "trace context of 26 bytes")
	inHead("stream-long", head(field(5, "\x00")), "stream with a value")
	inHead("client-no-version", head(field(7, "name")), "no NUL")
	inHead("client-no-name", head(field(7, "\x00version")), "no name")
	inHead("metadata-no-value", head(field(64, "key")), "no NUL")
	inHead("metadata-no-key", head(field(127, "\x00value")), "no key")

	// Names and payloads, by the rules of the other versions.
	add("signal-nothing", u8(63)+head()+name(""), "neither name nor payload")
	add("signal-head-only", u8(63)+head(field(1, u32(1)))+name(""), "neither name nor payload")
	add("request-nothing", u8(128)+id3+head()+name(""), "neither name nor payload")
	add("publication-nothing", u8(69)+u32(1)+u64(1)+head()+name(""), "neither name nor payload")
	add("request-name-short", u8(128)+id3+head()+u8(3)+"ab", "ends inside the name")
	add("request-utf16-odd", u8(129)+id3+head()+name("AB")+"x", "UTF-16 of an odd length")
	add("request-utf16-no-pad", u8(129)+id3+head()+name("A"), "no pad byte")
	add("reply-utf16-no-pad", u8(193)+id3+head(), "no pad byte")
	add("item-utf16-odd", u8(68)+id3+"\x00x", "UTF-16 of an odd length")
	add("error-reply-no-code", u8(0)+id3+name("")+"message", "no code")
	add("restore-session-no-key", u8(32)+id3, "no key")
	return all
}

// file3 returns the file of the vectors, one vector a line.
func file3(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	line := func(v any, last bool) {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("  ")
		b.Write(data)
		if !last {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteString("{\"version\":\"3.0\",\"variant\":\"3.0\",\n \"valid\":[\n")
	valid := validVectors3()
	for i, c := range valid {
		line(struct {
			Name      string `json:"name"`
			Direction string `json:"direction"`
			Type      string `json:"type"`
			TypeByte  byte   `json:"type_byte"`
			Hex       string `json:"hex"`
			Fields    object `json:"fields"`
		}{c.name, c.from, c.kind, c.wire[0], hexOf(c.wire), c.fields}, i == len(valid)-1)
	}
	b.WriteString(" ],\n \"invalid\":[\n")
	invalid := invalidVectors3()
	for i, c := range invalid {
		line(struct {
			Name   string `json:"name"`
			Hex    string `json:"hex"`
			Reason string `json:"reason"`
		}{c.name, hexOf(c.wire), c.reason}, i == len(invalid)-1)
	}
	b.WriteString(" ]}\n")
	return b.Bytes()
}

// The file has what this file says; TestVectors and TestInvalidVectors check the codec.
func TestVectors3(t *testing.T) {
	want := file3(t)
	if *update {
		if err := os.WriteFile(vectors3, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(vectors3)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the test makes (%v): run with -update", vectors3, err)
	}
	seen := map[protocol.Kind]bool{}
	for _, c := range validVectors3() {
		if m, err := protocol.V3_0.Parse([]byte(c.wire)); err == nil {
			seen[m.Kind] = true
		}
	}
	for k := range protocol.Presence + 1 {
		if v := protocol.V3_0; (v.FromClient(k) || v.FromServer(k)) != seen[k] {
			t.Errorf("%v: there are vectors: %v", k, seen[k])
		}
	}
}

// contentOf returns what the payload of a message of 3.0 says, as vectors write it, and
// the message that is made of it; nil for messages whose payload is the application's.
func contentOf(m protocol.Message) (content any, again protocol.Message, err error) {
	switch m.Kind {
	case protocol.AcceptConf:
		_, err = m.Conf()
	case protocol.Hello:
		var h protocol.HelloBody
		if h, err = m.Hello(); err != nil {
			return nil, m, err
		}
		o := object{"message_size": h.MessageSize, "stream_credit": h.StreamCredit, "requests": h.Requests, "resume": nil}
		if r := h.Resume; r != nil {
			o["resume"] = object{
				"conn": r.Conn.String(), "secret": hexOf(string(r.Secret[:])), "attempt": r.Attempt,
				"received": r.Received, "first_kept": r.FirstKept,
			}
		}
		return o, h.Message(), nil
	case protocol.Welcome:
		var w protocol.WelcomeBody
		if w, err = m.Welcome(); err != nil {
			return nil, m, err
		}
		return object{
			"outcome": w.Outcome, "conn": w.Conn.String(), "secret": hexOf(string(w.Secret[:])),
			"window_ms": w.Window / time.Millisecond, "ring": w.Ring,
			"received": w.Received, "from": w.From, "late": w.Late,
		}, w.Message(), nil
	case protocol.Cancel:
		var c protocol.CancelBody
		if c, err = m.Cancel(); err != nil {
			return nil, m, err
		}
		return object{"reason": c.Reason}, c.Message(), nil
	case protocol.Drain:
		var d protocol.DrainBody
		if d, err = m.Drain(); err != nil {
			return nil, m, err
		}
		return object{
			"reason": d.Reason, "spread_ms": d.Spread / time.Millisecond,
			"grace_ms": d.Grace / time.Millisecond, "endpoint": d.Endpoint,
		}, d.Message(), nil
	case protocol.Gap:
		var g protocol.GapBody
		if g, err = m.Gap(); err != nil {
			return nil, m, err
		}
		return object{"lost": g.Lost, "epoch": g.Next.Epoch, "offset": g.Next.Offset}, g.Message(), nil
	case protocol.ReplyFailure:
		var f *protocol.FailureError
		if f, err = m.Failure(); err != nil {
			return nil, m, err
		}
		return object{"code": f.Code, "executed": f.Executed, "text": f.Text}, f.Message(m.ID), nil
	case protocol.Subscribe:
		var s protocol.SubscribeBody
		if s, err = m.Subscribe(); err != nil {
			return nil, m, err
		}
		o := object{"since": nil, "presence": s.Presence, "topic": s.Topic}
		if s.Since != nil {
			o["since"] = object{"epoch": s.Since.Epoch, "offset": s.Since.Offset}
		}
		return o, s.Message(), nil
	case protocol.Presence:
		var p protocol.PresenceBody
		if p, err = m.Presence(); err != nil {
			return nil, m, err
		}
		return object{"op": p.Op, "data": string(p.Data)}, p.Message(), nil
	}
	return nil, m, err
}

// check3 checks what only vectors of 3.0 have.
func check3(t *testing.T, m protocol.Message, c vector) {
	t.Helper()
	f := c.Fields
	if m.Ref != f.Ref || m.Number != f.Number {
		t.Errorf("ref and number are %d and %d, want %d and %d", m.Ref, m.Number, f.Ref, f.Number)
	}
	var fields []headField
	for tag, value := range m.Head.Fields() {
		fields = append(fields, headField{int(tag), hexOf(string(value))})
	}
	if !reflect.DeepEqual(fields, f.Head) {
		t.Errorf("head is %v, want %v", fields, f.Head)
	}
	content, again, err := contentOf(m)
	if err != nil || !reflect.DeepEqual(again, m) {
		t.Errorf("the message of its content is %+v, want %+v (%v)", again, m, err)
	}
	data, err := json.Marshal(content)
	if err != nil || !jsonEqual(data, f.Content) {
		t.Errorf("content is %s, want %s (%v)", data, f.Content, err)
	}
}

type headField struct {
	Tag   int
	Value string
}
