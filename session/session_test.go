package session_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/session"
)

const secret = "the-secret-key-of-somebody"

func secretSession() session.Session {
	return session.Session{
		Key:      secret,
		Created:  time.Date(2018, 3, 24, 0, 3, 41, 123456789, time.UTC),
		LastSeen: time.Date(2018, 3, 25, 0, 0, 0, 0, time.UTC),
		Info:     json.RawMessage(`{"user":"ada"}`),
	}
}

func TestInfoAs(t *testing.T) {
	type info struct{ User string }
	s := secretSession()
	if v, err := session.InfoAs[info](s); err != nil || v.User != "ada" {
		t.Errorf("got %+v, %v", v, err)
	}
	if v, err := session.InfoAs[map[string]any](s); err != nil || v["user"] != "ada" {
		t.Errorf("got %v, %v", v, err)
	}
	for _, none := range []json.RawMessage{nil, {}, json.RawMessage(`null`)} {
		s.Info = none
		if v, err := session.InfoAs[info](s); err != nil || v != (info{}) {
			t.Errorf("%q: got %+v, %v", none, v, err)
		}
		if v, err := session.InfoAs[*info](s); err != nil || v != nil {
			t.Errorf("%q: got %+v, %v", none, v, err)
		}
	}
	for _, bad := range []string{`[1]`, `{"User":`, `{"User":1}`, ` `} {
		s.Info = json.RawMessage(bad)
		v, err := session.InfoAs[info](s)
		if err == nil || v != (info{}) {
			t.Errorf("%q: got %+v, %v", bad, v, err)
		} else if !strings.HasPrefix(err.Error(), "session: ") || strings.Contains(err.Error(), secret) {
			t.Error(err)
		}
	}
}
