package session_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/session/sessiontest"
)

func TestMemoryStore(t *testing.T) {
	sessiontest.Harness{
		Open: func(*testing.T) session.Store { return &session.MemoryStore{MaxAge: -1} },
		OpenExpiring: func(_ *testing.T, maxAge time.Duration) session.Store {
			return &session.MemoryStore{MaxAge: maxAge}
		},
		Reopen: func(_ *testing.T, st session.Store) session.Store { return st },
	}.Run(t)
}

func TestMemoryStoreExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		testExpiryByClock(t, &session.MemoryStore{MaxAge: time.Hour})
	})
}

// testExpiryByClock runs in a bubble, on a store whose sessions live for an hour.
func testExpiryByClock(t *testing.T, st session.Store) {
	t.Helper()
	s := session.Session{Key: session.NewKey(), Created: time.Now(), LastSeen: time.Now()}
	if err := st.Save(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		time.Sleep(time.Hour - 1)
		if err := st.Touch(t.Context(), s.Key, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Hour - 1)
	if got, err := st.Load(t.Context(), s.Key); err != nil || !got.LastSeen.Equal(time.Now().Add(1-time.Hour)) {
		t.Fatalf("last seen %v, %v", got.LastSeen, err)
	}
	time.Sleep(time.Nanosecond)
	if _, err := st.Load(t.Context(), s.Key); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load: %v", err)
	}
	if err := st.Touch(t.Context(), s.Key, time.Now()); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Touch: %v", err)
	}
}

// Sessions that expire are removed by those that come, without a sweep.
func TestMemoryStoreIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &session.MemoryStore{MaxAge: time.Hour}
		var saved []session.Session
		for i := range 10_000 { // 100 are alive at any time
			time.Sleep(time.Hour / 100)
			s := session.Session{Key: fmt.Sprint(i), LastSeen: time.Now()}
			if err := st.Save(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			saved = append(saved, s)
		}
		for _, s := range saved[len(saved)-100:] {
			if _, err := st.Load(t.Context(), s.Key); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := st.Sweep(t.Context()); n > 100 || err != nil {
			t.Errorf("%d expired sessions were left, %v", n, err)
		}
		time.Sleep(time.Hour)
		if n, err := st.Sweep(t.Context()); n != 100 || err != nil {
			t.Errorf("swept %d sessions, %v", n, err)
		}
		if n, err := st.Sweep(t.Context()); n != 0 || err != nil {
			t.Errorf("swept %d sessions, %v", n, err)
		}
	})
}

func TestMemoryStoreFreesMemory(t *testing.T) {
	const n = 20_000
	for name, empty := range map[string]func(*session.MemoryStore){
		"Delete": func(st *session.MemoryStore) {
			for i := range n {
				st.Delete(t.Context(), fmt.Sprint(i))
			}
		},
		"Sweep": func(st *session.MemoryStore) {
			st.MaxAge = time.Nanosecond
			st.Sweep(t.Context())
		},
		"Save": func(st *session.MemoryStore) {
			st.MaxAge = time.Minute
			for range n {
				st.Save(t.Context(), session.Session{Key: "one", LastSeen: time.Now()})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := session.MemoryStore{MaxAge: -1}
			before := heap()
			for i := range n {
				st.Save(t.Context(), session.Session{Key: fmt.Sprint(i), Created: time.Unix(1, 0), LastSeen: time.Unix(1, 0)})
			}
			full := heap()
			empty(&st)
			after := heap()
			if full-before < 2<<20 || after-before > 200<<10 {
				t.Errorf("%d sessions took %d bytes, and %d are still taken", n, full-before, after-before)
			}
			runtime.KeepAlive(&st)
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// testRefusals saves what no store should keep.
func testRefusals(t *testing.T, st session.Store) {
	t.Helper()
	for name, s := range map[string]session.Session{
		"empty key":   {},
		"control":     {Key: secret + "\n"},
		"long":        {Key: strings.Repeat(secret, 10)},
		"no JSON":     {Key: secret, Info: []byte(`{"a":`)},
		"two values":  {Key: secret, Info: []byte(`1 2`)},
		"only spaces": {Key: secret, Info: []byte(` `)},
	} {
		err := st.Save(t.Context(), s)
		if err == nil {
			t.Errorf("%s: saved", name)
			continue
		}
		if strings.Contains(err.Error(), secret) || strings.Count(err.Error(), "session: ") != 1 {
			t.Errorf("%s: error is %v", name, err)
		}
		if _, err := st.Load(t.Context(), s.Key); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: Load: %v", name, err)
		}
	}
	good := session.Session{Key: secret, Created: time.Now(), Info: []byte(`1`)}
	mustSave(t, st, good)
	if err := st.Update(t.Context(), secret, []byte(`{"a":`)); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("Update with info that is not JSON: %v", err)
	}
	if got, err := st.Load(t.Context(), secret); err != nil || string(got.Info) != `1` {
		t.Errorf("after a refused Update: %v, %v", got.Info, err)
	}
	if err := st.Delete(t.Context(), secret); err != nil {
		t.Error(err)
	}
}

func TestMemoryStoreRefuses(t *testing.T) { testRefusals(t, new(session.MemoryStore)) }

// Stores whose age is not set forget what is not used for DefaultMaxAge, and with a
// negative one nothing.
func TestDefaultMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := func(maxAge time.Duration) session.Store {
			st, err := session.OpenFileStore(t.TempDir(), session.FileStoreOptions{MaxAge: maxAge})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { st.Close() })
			return st
		}
		forgets := []session.Store{&session.MemoryStore{}, file(0)}
		keeps := []session.Store{&session.MemoryStore{MaxAge: -1}, file(-1)}
		all := append(forgets, keeps...)
		for _, st := range all {
			mustSave(t, st, session.Session{Key: "a", Created: time.Now()})
		}
		time.Sleep(session.DefaultMaxAge - time.Second)
		for _, st := range all {
			if _, err := st.Load(t.Context(), "a"); err != nil {
				t.Errorf("%T: %v", st, err)
			}
		}
		time.Sleep(time.Second)
		for _, st := range forgets {
			if _, err := st.Load(t.Context(), "a"); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("%T: %v", st, err)
			}
		}
		time.Sleep(50 * 365 * 24 * time.Hour)
		for _, st := range keeps {
			if _, err := st.Load(t.Context(), "a"); err != nil {
				t.Errorf("%T: %v", st, err)
			}
		}
	})
}
