// Package sessiontest tests implementations of [session.Store], and provides a store that
// fails on demand for tests of code that uses one.
//
// The suite runs on any store. Each test gets a new, empty one:
//
//	func TestStore(t *testing.T) {
//		sessiontest.Run(t, func(t *testing.T) session.Store {
//			st := mystore.Open(t.TempDir())
//			t.Cleanup(func() { st.Close() })
//			return st
//		})
//	}
//
// A [Harness] also tests what not every store can do: sessions that expire, and sessions
// that outlive the store. Run the suite with -race.
//
// To test how a server behaves when its store fails, wrap a working store in a [Faulty].
package sessiontest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/webwire-go/webwire/session"
)

// Run tests the stores that open returns. It is Harness{Open: open}.Run(t).
func Run(t *testing.T, open func(t *testing.T) session.Store) {
	t.Helper()
	Harness{Open: open}.Run(t)
}

// Harness opens the stores to test.
type Harness struct {
	// Open returns a new, empty store whose sessions do not expire and that only this
	// test uses. It closes the store with t.Cleanup. Required.
	Open func(t *testing.T) session.Store

	// OpenExpiring is Open for a store whose sessions expire maxAge after they were last
	// seen, or never if maxAge is negative. The suite does not wait: it saves sessions
	// that were last seen long ago. Nil: expiry is not tested.
	OpenExpiring func(t *testing.T, maxAge time.Duration) session.Store

	// Reopen closes a store that Open returned and returns another one with the same
	// sessions, as a new process would open it. Nil: persistence is not tested.
	Reopen func(t *testing.T, st session.Store) session.Store
}

// Run runs the suite as subtests of t.
func (h Harness) Run(t *testing.T) {
	t.Helper()
	tests := []struct {
		name string
		run  func(*testing.T, session.Store)
	}{
		{"RoundTrip", testRoundTrip},
		{"Replace", testReplace},
		{"Touch", testTouch},
		{"Update", testUpdate},
		{"Delete", testDelete},
		{"NotFound", testNotFound},
		{"Keys", testKeys},
		{"KeysRefused", testKeysRefused},
		{"Context", testContext},
		{"Aliasing", testAliasing},
		{"Many", testMany},
		{"ConcurrentSaves", testConcurrentSaves},
		{"TouchDuringSaves", testTouchDuringSaves},
		{"TouchDuringDelete", testTouchDuringDelete},
		{"UpdateDuringSaves", testUpdateDuringSaves},
		{"UpdateDuringTouches", testUpdateDuringTouches},
		{"UpdateDuringDelete", testUpdateDuringDelete},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, h.Open(t)) })
	}
	t.Run("Expiry", func(t *testing.T) {
		if h.OpenExpiring == nil {
			t.Skip("Harness.OpenExpiring is nil")
		}
		testExpiry(t, h.OpenExpiring)
	})
	t.Run("Persistence", func(t *testing.T) {
		if h.Reopen == nil {
			t.Skip("Harness.Reopen is nil")
		}
		testPersistence(t, h.Open(t), h.Reopen)
	})
}

// created is the creation time of the suite's sessions. It has nanoseconds and is not in
// UTC.
var created = time.Now().Add(-48 * time.Hour).Truncate(time.Second).Add(123456789).In(time.FixedZone("", 3600))

func newSession(info string) session.Session {
	s := session.Session{
		Key:      session.NewKey(),
		Created:  created,
		LastSeen: created.Add(time.Hour + 1),
	}
	if info != "" {
		s.Info = json.RawMessage(info)
	}
	return s
}

func save(t *testing.T, st session.Store, s session.Session) {
	t.Helper()
	if err := st.Save(t.Context(), s); err != nil {
		t.Fatalf("Save: %v", err)
	}
}

func load(t *testing.T, st session.Store, key string) session.Session {
	t.Helper()
	s, err := st.Load(t.Context(), key)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return s
}

func touch(t *testing.T, st session.Store, key string, seen time.Time) {
	t.Helper()
	if err := st.Touch(t.Context(), key, seen); err != nil {
		t.Fatalf("Touch: %v", err)
	}
}

func update(t *testing.T, st session.Store, key, info string) {
	t.Helper()
	if err := st.Update(t.Context(), key, json.RawMessage(info)); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

func remove(t *testing.T, st session.Store, key string) {
	t.Helper()
	if err := st.Delete(t.Context(), key); err != nil {
		t.Fatalf("Delete: %v", err)
	}
}

// wantSession fails the test unless st has exactly want.
func wantSession(t *testing.T, st session.Store, want session.Session) {
	t.Helper()
	wantEqual(t, load(t, st, want.Key), want)
}

func wantEqual(t *testing.T, got, want session.Session) {
	t.Helper()
	if got.Key != want.Key {
		t.Errorf("another key: got %v, want %v", got, want)
	}
	if !got.Created.Equal(want.Created) {
		t.Errorf("Created: got %v, want %v", got.Created, want.Created)
	}
	if !got.LastSeen.Equal(want.LastSeen) {
		t.Errorf("LastSeen: got %v, want %v", got.LastSeen, want.LastSeen)
	}
	if !sameInfo(got.Info, want.Info) {
		t.Errorf("Info: got %.200q, want %.200q", got.Info, want.Info)
	}
}

// wantNone fails the test unless key is not found in st.
func wantNone(t *testing.T, st session.Store, key string) {
	t.Helper()
	s, err := st.Load(t.Context(), key)
	wantNotFound(t, "Load", key, err)
	if err != nil && !reflect.ValueOf(s).IsZero() {
		t.Error("Load: a session beside the error")
	}
	wantNotFound(t, "Touch", key, st.Touch(t.Context(), key, created.Add(2*time.Hour)))
	wantNotFound(t, "Update", key, st.Update(t.Context(), key, json.RawMessage(`"none"`)))
}

func wantNotFound(t *testing.T, op, key string, err error) {
	t.Helper()
	if !errors.Is(err, session.ErrNotFound) {
		t.Errorf("%s: error is %v, want ErrNotFound", op, err)
	}
	if errors.Is(err, session.ErrDamaged) {
		t.Errorf("%s: %v is both ErrNotFound and ErrDamaged", op, err)
	}
	wantNoKey(t, op, key, err)
}

// wantNoKey fails the test if an error contains the key. Short keys are not checked, because
// any text may contain them.
func wantNoKey(t *testing.T, op, key string, err error) {
	t.Helper()
	if err != nil && len(key) > 8 && bytes.Contains([]byte(err.Error()), []byte(key)) {
		t.Errorf("%s: the error contains the key", op)
	}
}

// sameInfo reports whether a and b are the same JSON value. None and null are the same.
func sameInfo(a, b json.RawMessage) bool {
	x, err1 := decodeInfo(a)
	y, err2 := decodeInfo(b)
	return err1 == nil && err2 == nil && reflect.DeepEqual(x, y)
}

func decodeInfo(info json.RawMessage) (v any, err error) {
	if len(info) == 0 {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(info))
	dec.UseNumber()
	err = dec.Decode(&v)
	return v, err
}

// ended returns contexts that have ended, each with its error.
func ended(t *testing.T) map[string]struct {
	ctx context.Context
	err error
} {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), created)
	t.Cleanup(cancel)
	return map[string]struct {
		ctx context.Context
		err error
	}{
		"Canceled": {canceled, context.Canceled},
		"Deadline": {late, context.DeadlineExceeded},
	}
}
