package client_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
)

// scenario is one of those that testdata/README.md describes.
type scenario struct {
	Name    string
	Options struct {
		Version     string
		Kept        string
		Storage     *bool
		MinBackoff  int
		MaxBackoff  int
		Timeout     int
		DialTimeout int
		Autoconnect *bool
	}
	In    map[string][]scenarioStep
	Steps []scenarioStep
}

type scenarioStep struct {
	Call     string
	As       string
	Name     string
	Key      string
	Timeout  int
	Cancel   string
	Outcome  string
	Is       string
	Accept   bool
	Fail     string
	Dialling *bool
	Sent     string
	Reply    string
	With     string
	Say      string
	Drop     json.RawMessage
	Ended    *bool
	Pass     int
	Events   *[]string
	Session  optional
	Stored   optional
	Status   string
}

// optional is a value that may be missing, null or a string.
type optional struct {
	given bool
	value string
}

func (o *optional) UnmarshalJSON(data []byte) error {
	o.given = true
	if string(data) == "null" {
		return nil
	}
	return json.Unmarshal(data, &o.value)
}

// String returns what was asked for, as the file has it.
func (s scenarioStep) MarshalJSON() ([]byte, error) {
	given := make(map[string]any)
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			value := f.Interface()
			if o, ok := value.(optional); ok {
				value = o.value
			}
			given[strings.ToLower(v.Type().Field(i).Name)] = value
		}
	}
	return json.Marshal(given)
}

// The client does what the scenarios say, which the JavaScript client does too.
func TestScenarios(t *testing.T) {
	for _, file := range []string{"session.json", "connect.json"} {
		var all []scenario
		readJSON(t, file, &all)
		for _, s := range all {
			versions := []protocol.Version{protocol.V2_0, protocol.V3_0}
			if s.Options.Version != "" {
				v, err := protocol.ParseVersion(s.Options.Version)
				if err != nil {
					t.Fatal(err)
				}
				versions = []protocol.Version{v}
			}
			for _, v := range versions {
				t.Run(s.Name+" in "+v.String(), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { s.run(t, v) })
				})
			}
		}
	}
}

func readJSON(t *testing.T, file string, v any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func (s scenario) run(t *testing.T, v protocol.Version) {
	st := &stage{
		t: t, version: v, dialler: &heldDialer{attempts: make(chan chan answer)}, keys: &keptKey{key: s.Options.Kept},
		calls: make(map[string]*stagedCall), ids: make(map[string]protocol.ID),
	}
	ms := func(n, otherwise int) time.Duration {
		if n == 0 {
			n = otherwise
		}
		return time.Duration(n) * time.Millisecond
	}
	opts := client.Options{
		Versions:           []protocol.Version{st.version},
		Logger:             discard,
		MinBackoff:         ms(s.Options.MinBackoff, 1000),
		MaxBackoff:         ms(s.Options.MaxBackoff, 1000),
		Timeout:            ms(s.Options.Timeout, 60_000),
		DialTimeout:        ms(s.Options.DialTimeout, 10_000),
		DisableAutoconnect: s.Options.Autoconnect != nil && !*s.Options.Autoconnect,
		Hooks:              st.hooks(s.In),
	}
	if s.Options.Storage == nil || *s.Options.Storage {
		opts.Keys = st.keys
	}
	st.client = client.New(st.dialler, opts)
	defer func() {
		st.client.Close()
		synctest.Wait()
		if st.peer != nil {
			st.peer.conn.Abort()
		}
	}()
	for i, step := range s.Steps {
		before := t.Failed()
		st.play(step)
		synctest.Wait()
		if t.Failed() && !before {
			text, _ := json.Marshal(step)
			t.Logf("at step %d: %s", i+1, text)
			return
		}
	}
	if left := st.told(); len(left) > 0 {
		t.Errorf("events that no step expects: %q", left)
	}
	if m, ok := st.next(); ok {
		t.Errorf("a message that no step expects: %s", st.describe(m))
	}
}
