package protocol_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

const secret = "the-secret-key-of-somebody"

func secretSession() protocol.Session {
	return protocol.Session{
		Key:      secret,
		Created:  time.Date(2018, 3, 24, 0, 3, 41, 123456789, time.UTC),
		LastSeen: time.Date(2018, 3, 25, 0, 0, 0, 0, time.UTC),
		Info:     json.RawMessage(`{"user":"ada"}`),
	}
}

// Every way in which a session reaches a log by accident.
func TestKeyIsNeverPrinted(t *testing.T) {
	s := secretSession()
	type holder struct {
		Name    string
		Session protocol.Session
		Pointer *protocol.Session
	}
	type embedder struct {
		protocol.Session
		N int
	}
	values := map[string]any{
		"Session":    s,
		"*Session":   &s,
		"slice":      []protocol.Session{s},
		"pointers":   []*protocol.Session{&s},
		"array":      [1]protocol.Session{s},
		"map":        map[string]protocol.Session{"a": s},
		"any":        []any{s, &s},
		"struct":     holder{"a", s, &s},
		"*struct":    &holder{"a", s, &s},
		"structs":    []holder{{"a", s, &s}},
		"embedded":   embedder{s, 1},
		"*embedded":  &embedder{s, 1},
		"reflection": reflect.ValueOf(s),
		"error":      fmt.Errorf("closing %v", s),
	}
	verbs := []string{"%v", "%+v", "%#v", "%q", "%+q", "%#q", "%s", "%d", "%x", "%X", "% x", "%#x", "%o", "%b", "%c", "%U", "%e", "%t", "%20v", "%-60s|", "%.3v", "%T"}
	for name, v := range values {
		outputs := map[string]string{
			"Sprint":   fmt.Sprint(v),
			"Sprintln": fmt.Sprintln(v),
		}
		for _, verb := range verbs {
			outputs[verb] = fmt.Sprintf(verb, v)
		}
		outputs["slog text"] = logged(t, v, func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) })
		outputs["slog JSON"] = logged(t, v, func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) })
		if b, err := json.Marshal(v); err == nil {
			outputs["JSON"] = string(b)
		}
		if b, err := xml.Marshal(v); err == nil {
			outputs["XML"] = string(b)
		}
		var tmpl strings.Builder
		if err := template.Must(template.New("").Parse("{{.}}")).Execute(&tmpl, v); err != nil {
			t.Error(err)
		}
		outputs["template"] = tmpl.String()
		for how, out := range outputs {
			for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprintf("% x", secret)} {
				if strings.Contains(out, form) {
					t.Errorf("%s by %s tells the key: %s", name, how, out)
				}
			}
		}
	}
}

func logged(t *testing.T, v any, handler func(*bytes.Buffer) slog.Handler) string {
	t.Helper()
	var b bytes.Buffer
	log := slog.New(handler(&b))
	log.Info("m", "session", v)
	log.With("session", v).WithGroup("g").Info("m", slog.Group("h", "session", v))
	return b.String()
}

func TestSessionText(t *testing.T) {
	s := secretSession()
	hash := sha256.Sum256([]byte(secret))
	id := fmt.Sprintf("%x", hash[:8])
	for format, want := range map[string]string{
		"%v":     "session " + id,
		"%+v":    "session " + id,
		"%s":     "session " + id,
		"%q":     `"session ` + id + `"`,
		"%#v":    "protocol.Session{/* session " + id + " */}",
		"%30s":   "      session " + id,
		"%-26s|": "session " + id + "  |",
	} {
		if got := fmt.Sprintf(format, s); got != want {
			t.Errorf("%s: got %s, want %s", format, got, want)
		}
	}
	if got := s.String(); got != "session "+id {
		t.Error(got)
	}
	if got := fmt.Sprintf("%#v", []protocol.Session{s}); got != "[]protocol.Session{"+s.GoString()+"}" {
		t.Error(got)
	}
	if got := fmt.Sprint(protocol.Session{}); got != "session without key" {
		t.Error(got)
	}
	if got := fmt.Sprint((*protocol.Session)(nil)); got != "<nil>" {
		t.Error(got)
	}
}

func TestLogValue(t *testing.T) {
	got := logged(t, secretSession(), func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) })
	hash := sha256.Sum256([]byte(secret))
	want := fmt.Sprintf("session.id=%x session.created=2018-03-24T00:03:41.123Z session.lastSeen=2018-03-25T00:00:00.000Z", hash[:8])
	if !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	if strings.Contains(got, "ada") {
		t.Error("the log contains the info")
	}
	if attrs := (protocol.Session{}).LogValue().Group(); len(attrs) != 0 {
		t.Errorf("zero session: %v", attrs)
	}
}

func TestJSONForm(t *testing.T) {
	s := secretSession()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"created":"2018-03-24T00:03:41.123456789Z","lastSeen":"2018-03-25T00:00:00Z","info":{"user":"ada"}}`
	if string(b) != want {
		t.Errorf("got %s, want %s", b, want)
	}
	var back protocol.Session
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	s.Key = ""
	if !reflect.DeepEqual(back, s) {
		t.Errorf("got %s back", b)
	}
	if err := json.Unmarshal([]byte(`{"key":"x","Key":"y","-":"z"}`), &back); err != nil || back.Key != "" {
		t.Errorf("a key was read from JSON, %v", err)
	}
	b, err = json.Marshal(protocol.Session{})
	if err != nil || strings.Contains(string(b), "info") {
		t.Errorf("%s, %v", b, err)
	}
}

// Encodings that are made for storing whole values keep the key.
func TestGobIsWhole(t *testing.T) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(secretSession()); err != nil {
		t.Fatal(err)
	}
	var back protocol.Session
	if err := gob.NewDecoder(&b).Decode(&back); err != nil || back.Key != secret {
		t.Errorf("key lost, %v", err)
	}
}
