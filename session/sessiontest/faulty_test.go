package sessiontest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/session/sessiontest"
)

var allOps = []sessiontest.Op{sessiontest.Save, sessiontest.Load, sessiontest.Touch, sessiontest.Update, sessiontest.Delete}

func perform(ctx context.Context, st session.Store, op sessiontest.Op, s session.Session) (err error) {
	switch op {
	case sessiontest.Save:
		err = st.Save(ctx, s)
	case sessiontest.Load:
		_, err = st.Load(ctx, s.Key)
	case sessiontest.Touch:
		err = st.Touch(ctx, s.Key, time.Now())
	case sessiontest.Update:
		err = st.Update(ctx, s.Key, json.RawMessage(`"updated"`))
	case sessiontest.Delete:
		err = st.Delete(ctx, s.Key)
	}
	return err
}

func newFaulty(t *testing.T) (*sessiontest.Faulty, session.Session) {
	t.Helper()
	st := &sessiontest.Faulty{Store: &session.MemoryStore{}}
	s := session.Session{Key: session.NewKey(), Created: time.Now()}
	if err := st.Store.Save(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return st, s
}

func TestFaultyWithoutFaults(t *testing.T) {
	sessiontest.Harness{
		Open: func(*testing.T) session.Store {
			return &sessiontest.Faulty{Store: &session.MemoryStore{MaxAge: -1}}
		},
		OpenExpiring: func(_ *testing.T, maxAge time.Duration) session.Store {
			return &sessiontest.Faulty{Store: &session.MemoryStore{MaxAge: maxAge}}
		},
	}.Run(t)
}

func TestBreakConcernsOneOp(t *testing.T) {
	broken := errors.New("broken")
	for _, op := range allOps {
		t.Run(op.String(), func(t *testing.T) {
			st, s := newFaulty(t)
			st.Break(op, sessiontest.Fail(broken))
			for _, other := range allOps {
				err := perform(t.Context(), st, other, s)
				if other == op && err != broken {
					t.Errorf("%v: error is %v, want %v", other, err, broken)
				}
				if other != op && err != nil {
					t.Errorf("%v: %v", other, err)
				}
			}
			st.Mend(op)
			if err := st.Store.Save(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if err := perform(t.Context(), st, op, s); err != nil {
				t.Errorf("%v after Mend: %v", op, err)
			}
			if n := st.Calls(op); n != 2 {
				t.Errorf("%d calls, want 2", n)
			}
		})
	}
}

func TestFailDoesNothing(t *testing.T) {
	st, s := newFaulty(t)
	st.Break(sessiontest.Delete, sessiontest.Fail(session.ErrDamaged))
	if err := st.Delete(t.Context(), s.Key); !errors.Is(err, session.ErrDamaged) {
		t.Errorf("Delete: %v", err)
	}
	if _, err := st.Load(t.Context(), s.Key); err != nil {
		t.Errorf("Load: %v", err)
	}
}

func TestFailAfterDoesIt(t *testing.T) {
	st, s := newFaulty(t)
	lost := errors.New("answer lost")
	st.Break(sessiontest.Delete, sessiontest.FailAfter(lost))
	if err := st.Delete(t.Context(), s.Key); err != lost {
		t.Errorf("Delete: %v", err)
	}
	if _, err := st.Load(t.Context(), s.Key); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load: %v", err)
	}
}

func TestDelay(t *testing.T) {
	for _, op := range allOps {
		t.Run(op.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st, s := newFaulty(t)
				st.Break(op, sessiontest.Delay(time.Minute))
				start := time.Now()
				if err := perform(t.Context(), st, op, s); err != nil {
					t.Error(err)
				}
				if d := time.Since(start); d != time.Minute {
					t.Errorf("took %v", d)
				}

				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start = time.Now()
				if err := perform(ctx, st, op, s); err != context.DeadlineExceeded {
					t.Errorf("error is %v", err)
				}
				if d := time.Since(start); d != time.Second {
					t.Errorf("took %v", d)
				}
			})
		})
	}
}

func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, s := newFaulty(t)
		st.Break(sessiontest.Load, sessiontest.Hang())
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		if _, err := st.Load(ctx, s.Key); err != context.DeadlineExceeded {
			t.Errorf("error is %v", err)
		}
	})
}

func TestPanic(t *testing.T) {
	st, s := newFaulty(t)
	for _, op := range allOps {
		st.Break(op, sessiontest.Panic(op))
		func() {
			defer func() {
				if r := recover(); r != op {
					t.Errorf("%v: recovered %v", op, r)
				}
			}()
			perform(t.Context(), st, op, s)
		}()
		st.Mend(op) // does not block: no lock was held
	}
}

func TestSpoil(t *testing.T) {
	st, s := newFaulty(t)
	st.Break(sessiontest.Load, sessiontest.Spoil())
	got, err := st.Load(t.Context(), s.Key)
	if err != nil {
		t.Fatal(err)
	}
	if got.Key == s.Key || !got.Created.IsZero() || json.Valid(got.Info) {
		t.Error("the session is not spoiled")
	}
	if _, err := st.Load(t.Context(), session.NewKey()); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load of none: %v", err)
	}

	st.Break(sessiontest.Save, sessiontest.Spoil())
	if err := st.Save(t.Context(), s); err == nil {
		t.Error("a spoiled session was saved")
	}
	st.Break(sessiontest.Update, sessiontest.Spoil())
	if err := st.Update(t.Context(), s.Key, nil); err == nil {
		t.Error("a spoiled session was updated")
	}
}

// A fault of one's own: the first call fails, the following ones do not.
func TestOwnFault(t *testing.T) {
	st, s := newFaulty(t)
	st.Break(sessiontest.Touch, func(ctx context.Context, call *sessiontest.Call, next func(context.Context) error) error {
		if call.Key != s.Key || call.Seen.IsZero() {
			t.Errorf("call of %v", call.Op)
		}
		if st.Calls(call.Op) == 1 {
			return errors.New("try again")
		}
		return next(ctx)
	})
	if err := st.Touch(t.Context(), s.Key, time.Now()); err == nil {
		t.Error("first call did not fail")
	}
	if err := st.Touch(t.Context(), s.Key, time.Now()); err != nil {
		t.Error(err)
	}
}

func ExampleFaulty() {
	store := &sessiontest.Faulty{Store: &session.MemoryStore{}}
	store.Break(sessiontest.Load, sessiontest.Fail(errors.New("the disk is on fire")))
	_, err := store.Load(context.Background(), "key")
	fmt.Println(err)

	store.Mend(sessiontest.Load)
	_, err = store.Load(context.Background(), "key")
	fmt.Println(err)
	// Output:
	// the disk is on fire
	// session: not found
}
