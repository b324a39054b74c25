package sessiontest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/session"
)

func testRoundTrip(t *testing.T, st session.Store) {
	for name, info := range map[string]string{
		"None":    "",
		"Null":    "null",
		"Object":  `{"name":"Ada","visits":3,"tags":["a","b"],"nested":{"x":null}}`,
		"Empty":   `{}`,
		"Array":   `[1,"two",null,false]`,
		"Text":    `"plain"`,
		"Number":  `12345678901234567890.5`,
		"Unicode": `{"имя":"Жанна","emoji":"🦆","escaped":"\u00e9\ud83e\udd86","html":"<&>","lines":"\r\n\t"}`,
		"Space":   " {\n\t\"a\" : 1 }\n",
		"1MiB":    `{"big":"` + strings.Repeat("0123456789abcdef", 1<<16) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSession(info)
			save(t, st, s)
			wantSession(t, st, s)
		})
	}
	t.Run("NoTimes", func(t *testing.T) {
		s := session.Session{Key: session.NewKey()}
		save(t, st, s)
		wantSession(t, st, s)
	})
	t.Run("Now", func(t *testing.T) {
		s := session.Session{Key: session.NewKey(), Created: time.Now(), LastSeen: time.Now()}
		save(t, st, s)
		wantSession(t, st, s)
	})
}

func testReplace(t *testing.T, st session.Store) {
	other := newSession(`{"other":true}`)
	save(t, st, other)
	s := newSession(`{"version":1,"long":"` + strings.Repeat("x", 10_000) + `"}`)
	save(t, st, s)

	s.Created = s.Created.Add(time.Minute)
	s.LastSeen = s.LastSeen.Add(-time.Minute) // Save is no Touch: it may go back
	s.Info = json.RawMessage(`{"version":2}`)
	save(t, st, s)
	wantSession(t, st, s)

	s.Info = nil
	save(t, st, s)
	wantSession(t, st, s)
	wantSession(t, st, other)
}

func testTouch(t *testing.T, st session.Store) {
	other, s := newSession(`1`), newSession(`{"keep":"me"}`)
	save(t, st, other)
	save(t, st, s)

	seen := s.LastSeen.Add(time.Hour)
	touch(t, st, s.Key, seen)
	wantTouched(t, st, s, seen)

	seen = seen.Add(time.Minute + 1)
	touch(t, st, s.Key, seen)
	wantTouched(t, st, s, seen)

	for _, earlier := range []time.Time{s.LastSeen, created.Add(-time.Hour), {}} {
		touch(t, st, s.Key, earlier)
		wantTouched(t, st, s, seen)
	}

	s.LastSeen = seen.Add(-30 * time.Minute) // what Save says counts
	save(t, st, s)
	wantSession(t, st, s)
	wantSession(t, st, other)
}

// wantTouched fails the test unless st has s, last seen at seen, which a store may
// have cut to seconds.
func wantTouched(t *testing.T, st session.Store, s session.Session, seen time.Time) {
	t.Helper()
	got := load(t, st, s.Key)
	if got.LastSeen.After(seen) || seen.Sub(got.LastSeen) >= time.Second {
		t.Errorf("LastSeen after Touch: got %v, want %v", got.LastSeen, seen)
	}
	got.LastSeen = s.LastSeen
	wantEqual(t, got, s)
}

func testUpdate(t *testing.T, st session.Store) {
	other, s := newSession(`1`), newSession(`{"version":1,"long":"`+strings.Repeat("x", 10_000)+`"}`)
	save(t, st, other)
	save(t, st, s)
	for _, info := range []string{`{"version":2}`, `[3]`, ``, `"` + strings.Repeat("y", 10_000) + `"`, `null`} {
		update(t, st, s.Key, info)
		s.Info = json.RawMessage(info)
		wantSession(t, st, s) // neither Created nor LastSeen has changed
	}

	seen := s.LastSeen.Add(time.Hour)
	touch(t, st, s.Key, seen)
	update(t, st, s.Key, `4`)
	s.Info = json.RawMessage(`4`)
	wantTouched(t, st, s, seen)
	wantSession(t, st, other)
}

func testDelete(t *testing.T, st session.Store) {
	other, s := newSession(`"other"`), newSession(`"gone"`)
	save(t, st, other)
	save(t, st, s)
	remove(t, st, s.Key)
	wantNone(t, st, s.Key)
	remove(t, st, s.Key)            // no error
	remove(t, st, session.NewKey()) // neither
	wantNone(t, st, s.Key)
	wantSession(t, st, other)

	s.Info = json.RawMessage(`"again"`)
	save(t, st, s)
	wantSession(t, st, s)
}

func testNotFound(t *testing.T, st session.Store) {
	wantNone(t, st, session.NewKey())
	s := newSession(``)
	save(t, st, s)
	for _, key := range []string{
		session.NewKey(), s.Key + "x", s.Key[:42], s.Key[1:], " " + s.Key, s.Key + "\x00", strings.ToLower(s.Key) + "-",
		fmt.Sprintf("%x", session.Hash(s.Key)),
	} {
		wantNone(t, st, key)
	}
	wantSession(t, st, s)
}

// testKeys uses keys that are fit for the wire, but not for careless stores.
func testKeys(t *testing.T, st session.Store) {
	keys := []string{
		"a", "A", " ", "  ", ".", "..", "/", "*", "%", "'", "-", "~", "0", "null",
		"../../etc/passwd", "/etc/passwd", `..\..\windows`, "C:", "NUL", "a/b/c", ".hidden", "lock",
		"key with spaces ", "key with spaces", `'; DROP TABLE sessions; --`, "$(reboot)", "%00", "{{.}}", "a.b.>", "a:b*c?",
		"CaseMatters", "casematters",
		strings.Repeat("k", session.MaxKeyLength), strings.Repeat("k", session.MaxKeyLength-1), strings.Repeat("/", session.MaxKeyLength),
	}
	sessions := make([]session.Session, len(keys))
	for i, key := range keys {
		sessions[i] = newSession(fmt.Sprint(i))
		sessions[i].Key = key
		save(t, st, sessions[i])
	}
	for i := range sessions {
		wantSession(t, st, sessions[i])
	}
	for i := range sessions {
		touch(t, st, keys[i], sessions[i].LastSeen)
		remove(t, st, keys[i])
		wantNone(t, st, keys[i])
		for _, s := range sessions[i+1:] {
			wantSession(t, st, s)
		}
	}
}

// testKeysRefused uses what clients may send though no server made it a key.
func testKeysRefused(t *testing.T, st session.Store) {
	for _, key := range []string{
		"", "\x00", "\n", "tab\tin key", "\x7f", "ключ", "🦆", "\xff\xfe", "a\x00b", "../\x00",
		strings.Repeat("k", session.MaxKeyLength+1), strings.Repeat("k", 1<<20),
	} {
		name := fmt.Sprintf("%.20q", key)
		t.Run(name, func(t *testing.T) {
			wantNone(t, st, key)
			remove(t, st, key)
			s := newSession(`1`)
			s.Key = key
			if err := st.Save(t.Context(), s); err != nil {
				wantNoKey(t, "Save", key, err)
				if errors.Is(err, session.ErrNotFound) {
					t.Errorf("Save: error is %v", err)
				}
				wantNone(t, st, key)
				return
			}
			wantSession(t, st, s) // accepted, so it works
			remove(t, st, key)
			wantNone(t, st, key)
		})
	}
}

func testContext(t *testing.T, st session.Store) {
	s := newSession(`"kept"`)
	save(t, st, s)
	for name, end := range ended(t) {
		t.Run(name, func(t *testing.T) {
			changed := s
			changed.Info = json.RawMessage(`"changed"`)
			_, loadErr := st.Load(end.ctx, s.Key)
			_, noneErr := st.Load(end.ctx, session.NewKey())
			for op, err := range map[string]error{
				"Save":         st.Save(end.ctx, changed),
				"Save new":     st.Save(end.ctx, newSession(``)),
				"Load":         loadErr,
				"Load none":    noneErr,
				"Touch":        st.Touch(end.ctx, s.Key, s.LastSeen.Add(time.Hour)),
				"Touch none":   st.Touch(end.ctx, session.NewKey(), s.LastSeen),
				"Update":       st.Update(end.ctx, s.Key, changed.Info),
				"Update none":  st.Update(end.ctx, session.NewKey(), changed.Info),
				"Delete":       st.Delete(end.ctx, s.Key),
				"Delete none":  st.Delete(end.ctx, session.NewKey()),
				"Delete empty": st.Delete(end.ctx, ""),
			} {
				if !errors.Is(err, end.err) {
					t.Errorf("%s with an ended context: error is %v, want %v", op, err, end.err)
				}
				if errors.Is(err, session.ErrNotFound) {
					t.Errorf("%s: %v is ErrNotFound", op, err)
				}
			}
			wantSession(t, st, s) // nothing happened
		})
	}
}

// testAliasing changes what it passed in and what it got.
func testAliasing(t *testing.T, st session.Store) {
	s := newSession(`{"a":"original"}`)
	want := s
	want.Info = slices.Clone(s.Info)
	spoil := func(b []byte) { copy(b, bytes.Repeat([]byte("!"), len(b))) }

	save(t, st, s)
	spoil(s.Info)
	got := load(t, st, s.Key)
	wantEqual(t, got, want)
	spoil(got.Info)
	_ = append(got.Info, "!!!"...)
	wantSession(t, st, want)

	info := json.RawMessage(`{"b":"original"}`)
	want.Info = slices.Clone(info)
	if err := st.Update(t.Context(), s.Key, info); err != nil {
		t.Errorf("Update: %v", err)
	}
	spoil(info)
	wantSession(t, st, want)

	a, b := load(t, st, s.Key), load(t, st, s.Key)
	spoil(a.Info)
	wantEqual(t, b, want)
}

func testExpiry(t *testing.T, open func(*testing.T, time.Duration) session.Store) {
	const maxAge = time.Hour
	aged := func(age time.Duration) session.Session {
		s := newSession(`{"a":1}`)
		s.LastSeen = time.Now().Add(-age)
		return s
	}
	t.Run("Alive", func(t *testing.T) {
		st := open(t, maxAge)
		for _, age := range []time.Duration{0, maxAge / 2, -maxAge} {
			s := aged(age)
			save(t, st, s)
			wantSession(t, st, s)
		}
	})
	t.Run("JustCreated", func(t *testing.T) {
		st := open(t, maxAge)
		s := session.Session{Key: session.NewKey(), Created: time.Now()}
		save(t, st, s)
		wantSession(t, st, s)
	})
	t.Run("Expired", func(t *testing.T) {
		st := open(t, maxAge)
		s := aged(2 * maxAge)
		save(t, st, s)
		// Touch and Update come first: they must not revive the session.
		wantNotFound(t, "Touch", s.Key, st.Touch(t.Context(), s.Key, time.Now()))
		wantNotFound(t, "Update", s.Key, st.Update(t.Context(), s.Key, s.Info))
		wantNone(t, st, s.Key)
		remove(t, st, s.Key)
	})
	t.Run("SavedAgain", func(t *testing.T) {
		st := open(t, maxAge)
		s := aged(2 * maxAge)
		save(t, st, s)
		wantNone(t, st, s.Key)
		s.LastSeen = time.Now()
		save(t, st, s)
		wantSession(t, st, s)
		s.LastSeen = time.Now().Add(-2 * maxAge)
		save(t, st, s)
		wantNone(t, st, s.Key)
	})
	t.Run("AmongOthers", func(t *testing.T) {
		st := open(t, maxAge)
		var alive []session.Session
		for i := range 60 {
			s := aged(time.Duration(i%3) * maxAge * 3 / 4) // every third is too old
			save(t, st, s)
			if i%3 < 2 {
				alive = append(alive, s)
			}
		}
		for _, s := range alive {
			wantSession(t, st, s)
			touch(t, st, s.Key, time.Now())
		}
	})
	t.Run("Never", func(t *testing.T) {
		st := open(t, -1)
		s := newSession(``)
		s.Created, s.LastSeen = time.Unix(1, 1), time.Unix(2, 2)
		save(t, st, s)
		wantSession(t, st, s)
	})
}

func testPersistence(t *testing.T, st session.Store, reopen func(*testing.T, session.Store) session.Store) {
	kept, replaced, touched, gone := newSession(`{"n":"🦆"}`), newSession(`1`), newSession(`2`), newSession(`3`)
	for _, s := range []session.Session{kept, replaced, touched, gone} {
		save(t, st, s)
	}
	replaced.Info = json.RawMessage(`"new"`)
	save(t, st, replaced)
	seen := touched.LastSeen.Add(time.Hour)
	touch(t, st, touched.Key, seen)
	update(t, st, touched.Key, `"updated"`)
	touched.Info = json.RawMessage(`"updated"`)
	remove(t, st, gone.Key)
	for range 2 {
		st = reopen(t, st)
		wantSession(t, st, kept)
		wantSession(t, st, replaced)
		wantTouched(t, st, touched, seen)
		wantNone(t, st, gone.Key)
	}
	remove(t, st, kept.Key)
	st = reopen(t, st)
	wantNone(t, st, kept.Key)
	wantSession(t, st, replaced)
}
