package protocol_test

import (
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

func TestMetadata(t *testing.T) {
	for _, test := range []struct {
		metadata protocol.Metadata
		want     string
	}{
		{protocol.Metadata{Version: protocol.V1_2}, `{"protocol-version":"1.2"}`},
		{protocol.Metadata{Version: protocol.V1_2, ReadTimeout: time.Minute}, `{"protocol-version":"1.2"}`},
		{protocol.Metadata{Version: protocol.V1_5, ReadTimeout: time.Minute}, `{"protocol-version":"1.5","read-timeout":60}`},
		{protocol.Metadata{Version: protocol.V1_5, ReadTimeout: time.Millisecond}, `{"protocol-version":"1.5","read-timeout":1}`},
		{protocol.Metadata{Version: protocol.V1_5, ReadTimeout: math.MaxInt64}, `{"protocol-version":"1.5","read-timeout":4294967295}`},
		{
			protocol.Metadata{Version: protocol.V1_2, Versions: protocol.Versions(), ReadTimeout: time.Minute},
			`{"protocol-version":"1.2","read-timeout":60,"versions":["3.0","2.0","1.5","1.4","1.3","1.2"]}`,
		},
	} {
		got, err := json.Marshal(test.metadata)
		if err != nil || string(got) != test.want {
			t.Errorf("%s, %v, want %s", got, err, test.want)
		}
		var back protocol.Metadata
		if err := json.Unmarshal(got, &back); err != nil || back.Version != test.metadata.Version || len(back.Versions) != len(test.metadata.Versions) {
			t.Errorf("%s comes back as %+v, %v", got, back, err)
		}
	}
}

func TestMetadataOfOthers(t *testing.T) {
	var m protocol.Metadata
	err := json.Unmarshal([]byte(`{"protocol-version":"1.2","versions":["3.7","2.0"],"more":{}}`+"\n"), &m)
	if err != nil || m.Version != protocol.V1_2 || len(m.Versions) != 1 || m.Versions[0] != protocol.V2_0 {
		t.Errorf("%+v, %v", m, err)
	}
	for data, want := range map[string]error{
		`{"protocol-version":"1.6"}`: protocol.ErrVersion,
		`{"protocol-version":""}`:    protocol.ErrMalformed,
		`{}`:                         protocol.ErrMalformed,
		`[]`:                         protocol.ErrMalformed,
		`{"protocol-version":1.2}`:   protocol.ErrMalformed,
		`{"protocol-version":"1.5","read-timeout":-1}`:     protocol.ErrMalformed,
		`{"protocol-version":"1.5","versions":"1.5, 1.4"}`: protocol.ErrMalformed,
	} {
		if err := json.Unmarshal([]byte(data), &m); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", data, err, want)
		}
	}
}

func TestVersions(t *testing.T) {
	for _, v := range protocol.Versions() {
		byText, err := protocol.ParseVersion(v.String())
		byToken, err2 := protocol.ParseToken(v.Token())
		if err != nil || err2 != nil || byText != v || byToken != v || !v.Known() {
			t.Errorf("%v: %v, %v, %v, %v", v, byText, err, byToken, err2)
		}
		if v.Token() != "webwire-"+v.String() {
			t.Error(v.Token())
		}
	}
	for _, text := range []string{"", "1", "1.", "1.6", "01.2", "1.2 ", "webwire-1.2"} {
		if v, err := protocol.ParseVersion(text); !errors.Is(err, protocol.ErrVersion) {
			t.Errorf("%q: %v, %v", text, v, err)
		}
	}
	for _, token := range []string{"", "1.2", "webwire", "webwire-", "webwire-3.1", "WebWire-1.2"} {
		if v, err := protocol.ParseToken(token); !errors.Is(err, protocol.ErrVersion) {
			t.Errorf("%q: %v, %v", token, v, err)
		}
	}
}

func TestConf(t *testing.T) {
	// What the last published server sends by default.
	c := protocol.Conf{Version: protocol.V2_0, ReadTimeout: time.Minute, MessageSize: 8192}
	b, err := protocol.V2_0.Append(nil, c.Message())
	if want := unhex(t, "17020060ea000000200000"); err != nil || string(b) != string(want) {
		t.Errorf("%x, %v, want %x", b, err, want)
	}

	// What does not fit becomes the largest that does.
	c = protocol.Conf{ReadTimeout: math.MaxInt64, MessageSize: math.MaxInt}
	got, err := c.Message().Conf()
	if err != nil || got.ReadTimeout != math.MaxUint32*time.Millisecond || int64(got.MessageSize) != min(math.MaxUint32, math.MaxInt) {
		t.Errorf("%+v, %v", got, err)
	}
	c = protocol.Conf{ReadTimeout: -1, MessageSize: -1}
	if got, err = c.Message().Conf(); err != nil || got != (protocol.Conf{}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := (protocol.Message{Kind: protocol.Signal, Payload: c.Message().Payload}).Conf(); !errors.Is(err, protocol.ErrMalformed) {
		t.Error(err)
	}
}
