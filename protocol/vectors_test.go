package protocol_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// The vectors in testdata were made by the published servers, clients and parsers, one
// file for each state of the protocol that was published, and those of 3.0 by
// vectors3_test.go.

type vectors struct {
	Variant string
	Valid   []vector
	Invalid []vector
}

type vector struct {
	Name, Direction, Type, Hex, Reason string

	TypeByte byte `json:"type_byte"`
	Fields   struct {
		Encoding, ID, Payload string

		Name         *string
		ErrorCode    *string         `json:"error_code"`
		ErrorMessage string          `json:"error_message"`
		SessionKey   *string         `json:"session_key"`
		Session      json.RawMessage `json:"session"`

		Major, Minor      *byte
		ReadTimeout       int64  `json:"read_timeout_ms"`
		MessageBufferSize int64  `json:"message_buffer_size"`
		SubProtocol       string `json:"sub_protocol_hex"`

		// In vectors of 3.0:

		StreamCredit int `json:"stream_credit"`
		Requests     int `json:"requests"`
		Ref          uint32
		Number       uint64
		Head         []headField
		Content      json.RawMessage
	}
}

// readVectors returns the vectors by the name of their state: 1.3b is the later
// state of what was published as 1.3.
func readVectors(t testing.TB) map[string]vectors {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]vectors{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var v vectors
		if err := json.Unmarshal(data, &v); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(v.Valid) == 0 || len(v.Invalid) == 0 {
			t.Fatalf("%s has no vectors", file)
		}
		all[v.Variant] = v
	}
	if len(all) != 8 {
		t.Fatalf("%d files of vectors, want 8", len(all))
	}
	return all
}

func versionOf(t testing.TB, variant string) protocol.Version {
	t.Helper()
	v, err := protocol.ParseVersion(strings.TrimSuffix(variant, "b"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var vectorKinds = map[string]protocol.Kind{
	"request": protocol.Request, "close-session": protocol.CloseSession,
	"restore-session": protocol.RestoreSession, "heartbeat": protocol.Heartbeat,
	"signal": protocol.Signal, "reply": protocol.Reply, "error-reply": protocol.ReplyError,
	"reply-shutdown": protocol.ReplyShutdown, "reply-internal-error": protocol.ReplyInternalError,
	"reply-session-not-found":               protocol.ReplySessionNotFound,
	"reply-max-session-connections-reached": protocol.ReplySessionFull,
	"reply-sessions-disabled":               protocol.ReplySessionsDisabled,
	"reply-protocol-error":                  protocol.ReplyProtocolError,
	"session-created":                       protocol.SessionCreated, "session-closed": protocol.SessionClosed,
	"accept-conf": protocol.AcceptConf, "hello": protocol.Hello, "welcome": protocol.Welcome,
	"ack": protocol.Ack, "cancel": protocol.Cancel, "credit": protocol.Credit,
	"drain": protocol.Drain, "gap": protocol.Gap, "failure": protocol.ReplyFailure,
	"item": protocol.Item, "subscribe": protocol.Subscribe, "unsubscribe": protocol.Unsubscribe,
	"publication": protocol.Publication, "presence": protocol.Presence,
}

var encodings = map[string]protocol.Encoding{
	"binary": protocol.Binary, "utf8": protocol.UTF8, "utf16": protocol.UTF16,
}

func TestVectors(t *testing.T) {
	for variant, vs := range readVectors(t) {
		v := versionOf(t, variant)
		for _, c := range vs.Valid {
			t.Run(variant+"/"+c.Direction+"/"+c.Name, func(t *testing.T) { testVector(t, v, c) })
		}
	}
}

func testVector(t *testing.T, v protocol.Version, c vector) {
	data := unhex(t, c.Hex)
	m, err := v.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	checkHead(t, v, m, c)
	checkContent(t, v, m, c)
	check3(t, m, c)

	again, err := v.Append([]byte("before"), m)
	if err != nil {
		t.Fatal(err)
	}
	if want := "before" + string(data); string(again) != want {
		t.Errorf("appended\n%x, want\n%x", again, want)
	}
}

func checkHead(t *testing.T, v protocol.Version, m protocol.Message, c vector) {
	t.Helper()
	kind, ok := vectorKinds[c.Type]
	if !ok {
		text, encoding, _ := cutLast(c.Type, "-")
		kind = vectorKinds[text]
		if m.Payload.Encoding != encodings[encoding] || c.Fields.Encoding != encoding {
			t.Errorf("encoding is %v, want %s", m.Payload.Encoding, encoding)
		}
	}
	if m.Kind == 0 || m.Kind != kind {
		t.Errorf("kind is %v, want %v", m.Kind, kind)
	}
	if want := c.Fields.ID; want != "" && m.ID.String() != want {
		t.Errorf("id is %v, want %v", m.ID, want)
	}
	if c.Fields.ID == "" && m.ID != (protocol.ID{}) {
		t.Errorf("id is %v, want none", m.ID)
	}
	if c.Direction == "c2s" && !v.FromClient(m.Kind) || c.Direction == "s2c" && !v.FromServer(m.Kind) {
		t.Errorf("a %v does not go %s", m.Kind, c.Direction)
	}
}

func checkContent(t *testing.T, v protocol.Version, m protocol.Message, c vector) {
	t.Helper()
	f := c.Fields
	if f.Name != nil && m.Name != *f.Name {
		t.Errorf("name is %q, want %q", m.Name, *f.Name)
	}
	if f.Encoding != "" && !bytes.Equal(m.Payload.Data, unhex(t, f.Payload)) {
		t.Errorf("payload is %x, want %s", m.Payload.Data, f.Payload)
	}
	if f.SessionKey != nil && string(m.Payload.Data) != *f.SessionKey {
		t.Errorf("session key is %q, want %q", m.Payload.Data, *f.SessionKey)
	}
	if f.ErrorCode != nil {
		want := &protocol.Error{Code: *f.ErrorCode, Message: f.ErrorMessage}
		if err := m.Err(); !reflect.DeepEqual(err, &protocol.PeerError{Err: want}) {
			t.Errorf("Err is %v, want %v", err, want)
		}
		data, err := v.Append(nil, v.Failure(m.ID, want))
		if err != nil || hex.EncodeToString(data) != c.Hex {
			t.Errorf("Failure appends %x, %v, want %s", data, err, c.Hex)
		}
	}
	if f.Session != nil {
		checkSession(t, v, m.Payload.Data, f.Session)
	}
	if f.Major != nil {
		want := protocol.Conf{
			Version:     protocol.Version(*f.Major)<<8 | protocol.Version(*f.Minor),
			ReadTimeout: time.Duration(f.ReadTimeout) * time.Millisecond,
			MessageSize: int(min(f.MessageBufferSize, math.MaxInt)),
			SubProtocol: string(unhex(t, f.SubProtocol)),

			StreamCredit: f.StreamCredit,
			Requests:     f.Requests,
		}
		got, err := m.Conf()
		if err != nil || got != want {
			t.Errorf("Conf is %+v, %v, want %+v", got, err, want)
		}
		if again := got.Message(); !reflect.DeepEqual(again, m) {
			t.Errorf("Conf's message is %+v, want %+v", again, m)
		}
	}
}

func checkSession(t *testing.T, v protocol.Version, data []byte, fields json.RawMessage) {
	t.Helper()
	s, err := protocol.ParseSession(data)
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Key, K string
		Crt, C time.Time
		L      time.Time
		Inf, I json.RawMessage
	}
	if err := json.Unmarshal(fields, &want); err != nil {
		t.Fatal(err)
	}
	if want.Key != "" {
		want.K, want.C, want.I = want.Key, want.Crt, want.Inf
	}
	if s.Key != want.K || !s.Created.Equal(want.C) || !s.LastSeen.Equal(want.L) || !jsonEqual(s.Info, want.I) {
		t.Errorf("session is %+v with key %s, want %s", s, s.Key, fields)
	}
	// 1.3 writes what both of its states read: more than either wrote.
	if v != protocol.V1_3 {
		again, err := v.AppendSession(nil, s)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("AppendSession = %s, %v, want %s", again, err, data)
		}
	}
}

// jsonEqual compares values; null is as good as nothing.
func jsonEqual(a, b json.RawMessage) bool {
	var x, y any
	_ = json.Unmarshal(a, &x)
	_ = json.Unmarshal(b, &y)
	return reflect.DeepEqual(x, y)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func TestInvalidVectors(t *testing.T) {
	for variant, vs := range readVectors(t) {
		v := versionOf(t, variant)
		contradictions := 0
		for _, c := range vs.Invalid {
			m, err := v.Parse(unhex(t, c.Hex))
			if err == nil {
				_, _, err = contentOf(m)
			}
			switch {
			case err == nil && variant == "1.3" && nameOnly(m):
				// Early 1.3 rejected it and late 1.3 accepts it; this package
				// is late 1.3.
				contradictions++
			case err == nil:
				t.Errorf("%s: %s (%s) parses to %+v", variant, c.Name, c.Reason, m)
			case !errors.Is(err, protocol.ErrMalformed):
				t.Errorf("%s: %s: error is %v, not ErrMalformed", variant, c.Name, err)
			}
		}
		if variant == "1.3" && contradictions == 0 {
			t.Error("early and late 1.3 do not contradict each other: the vectors have changed")
		}
	}
}

func nameOnly(m protocol.Message) bool {
	return m.Kind == protocol.Request && m.Name != "" && len(m.Payload.Data) == 0
}

// What the two states of 1.3 disagree about is in the vectors of the later one.
func TestLateVectorsHaveNameOnlyRequests(t *testing.T) {
	for _, variant := range []string{"1.3b", "1.4", "1.4b", "1.5", "2.0", "3.0"} {
		n := 0
		for _, c := range readVectors(t)[variant].Valid {
			if m, err := versionOf(t, variant).Parse(unhex(t, c.Hex)); err == nil && nameOnly(m) {
				n++
			}
		}
		if n == 0 {
			t.Errorf("%s has no name-only request", variant)
		}
	}
}
