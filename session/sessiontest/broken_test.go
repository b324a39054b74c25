package sessiontest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/session/sessiontest"
)

// broken are stores with one bug each, and the test of the suite that finds it.
var broken = map[string]struct {
	store func() session.Store
	found string
}{
	"KeepsNothing": {found: "RoundTrip", store: with(sessiontest.Save, sessiontest.Fail(nil))},
	"LosesNanoseconds": {found: "RoundTrip/Object", store: with(sessiontest.Save, func(ctx context.Context, c *sessiontest.Call, next func(context.Context) error) error {
		c.Session.Created = c.Session.Created.Truncate(time.Microsecond)
		return next(ctx)
	})},
	"NeverReplaces": {found: "Replace", store: with(sessiontest.Save, func(ctx context.Context, c *sessiontest.Call, next func(context.Context) error) error {
		if len(c.Session.Info) < 1000 && string(c.Session.Info) == `{"version":2}` {
			return nil
		}
		return next(ctx)
	})},
	"TouchesBackwards":   {found: "Touch", store: func() session.Store { return &rewriter{backwards: true} }},
	"TouchRewrites":      {found: "TouchDuringSaves", store: func() session.Store { return &rewriter{} }},
	"TouchResurrects":    {found: "TouchDuringDelete", store: func() session.Store { return &rewriter{} }},
	"UpdateTouches":      {found: "Update", store: func() session.Store { return &updater{touches: true} }},
	"UpdateRewrites":     {found: "UpdateDuringSaves", store: func() session.Store { return &updater{} }},
	"UpdateForgetsTouch": {found: "UpdateDuringTouches", store: func() session.Store { return &updater{} }},
	"UpdateResurrects":   {found: "UpdateDuringDelete", store: func() session.Store { return &updater{} }},
	"UpdateCreates":      {found: "NotFound", store: with(sessiontest.Update, sessiontest.Fail(nil))},
	"NeverDeletes":       {found: "Delete", store: with(sessiontest.Delete, sessiontest.Fail(nil))},
	"DeleteNone": {found: "Delete", store: func() session.Store {
		st := &sessiontest.Faulty{Store: &session.MemoryStore{MaxAge: -1}}
		st.Break(sessiontest.Delete, func(ctx context.Context, c *sessiontest.Call, next func(context.Context) error) error {
			if _, err := st.Store.Load(ctx, c.Key); err != nil {
				return err
			}
			return next(ctx)
		})
		return st
	}},
	"OtherNotFound": {found: "NotFound", store: with(sessiontest.Load, func(ctx context.Context, c *sessiontest.Call, next func(context.Context) error) error {
		if next(ctx) != nil {
			return errors.New("no rows")
		}
		return nil
	})},
	"TellsKeys": {found: "NotFound", store: with(sessiontest.Load, func(ctx context.Context, c *sessiontest.Call, next func(context.Context) error) error {
		if err := next(ctx); err != nil {
			return fmt.Errorf("%w: %s", err, c.Key)
		}
		return nil
	})},
	"FoldsCase": {found: "Keys", store: func() session.Store { return folder{&session.MemoryStore{MaxAge: -1}} }},
	"IgnoresContext": {found: "Context", store: with(sessiontest.Touch, func(ctx context.Context, _ *sessiontest.Call, next func(context.Context) error) error {
		return next(context.WithoutCancel(ctx))
	})},
	"SharesMemory": {found: "Aliasing", store: func() session.Store { return &sharer{} }},
	"NeverExpires": {found: "Expiry/Expired", store: func() session.Store { return &session.MemoryStore{MaxAge: -1} }},
	"Forgets":      {found: "Persistence", store: func() session.Store { return &session.MemoryStore{MaxAge: -1} }},
}

func with(op sessiontest.Op, fault sessiontest.Fault) func() session.Store {
	return func() session.Store {
		st := &sessiontest.Faulty{Store: &session.MemoryStore{MaxAge: -1}}
		st.Break(op, fault)
		return st
	}
}

// rewriter touches as one does first: load, change, save.
type rewriter struct {
	session.MemoryStore
	backwards bool
}

func (r *rewriter) Touch(ctx context.Context, key string, seen time.Time) error {
	s, err := r.Load(ctx, key)
	if err != nil {
		return err
	}
	if r.backwards || seen.After(s.LastSeen) {
		s.LastSeen = seen
	}
	runtime.Gosched() // others come in between, however many processors there are
	return r.Save(ctx, s)
}

// updater updates as one does first.
type updater struct {
	session.MemoryStore
	touches bool
}

func (u *updater) Update(ctx context.Context, key string, info json.RawMessage) error {
	s, err := u.Load(ctx, key)
	if err != nil {
		return err
	}
	s.Info = info
	if u.touches {
		s.LastSeen = time.Now()
	}
	runtime.Gosched()
	return u.Save(ctx, s)
}

type folder struct{ session.Store }

func (f folder) Save(ctx context.Context, s session.Session) error {
	s.Key = strings.ToLower(s.Key)
	return f.Store.Save(ctx, s)
}

func (f folder) Load(ctx context.Context, key string) (session.Session, error) {
	s, err := f.Store.Load(ctx, strings.ToLower(key))
	if err == nil {
		s.Key = key
	}
	return s, err
}

func (f folder) Touch(ctx context.Context, key string, seen time.Time) error {
	return f.Store.Touch(ctx, strings.ToLower(key), seen)
}

func (f folder) Update(ctx context.Context, key string, info json.RawMessage) error {
	return f.Store.Update(ctx, strings.ToLower(key), info)
}

func (f folder) Delete(ctx context.Context, key string) error {
	return f.Store.Delete(ctx, strings.ToLower(key))
}

// sharer returns the Info that it was given.
type sharer struct {
	session.MemoryStore
	infos sync.Map
}

func (s *sharer) Save(ctx context.Context, ses session.Session) error {
	s.infos.Store(ses.Key, []byte(ses.Info))
	return s.MemoryStore.Save(ctx, ses)
}

func (s *sharer) Load(ctx context.Context, key string) (session.Session, error) {
	ses, err := s.MemoryStore.Load(ctx, key)
	if info, ok := s.infos.Load(key); ok && err == nil {
		ses.Info = info.([]byte)
	}
	return ses, err
}

const brokenEnv = "SESSIONTEST_BROKEN"

// TestSuiteOnBroken is run by TestSuiteFindsBugs, in another process.
func TestSuiteOnBroken(t *testing.T) {
	b, ok := broken[os.Getenv(brokenEnv)]
	if !ok {
		t.Skip("runs in a process of its own")
	}
	sessiontest.Harness{
		Open:         func(*testing.T) session.Store { return b.store() },
		OpenExpiring: func(*testing.T, time.Duration) session.Store { return b.store() },
		Reopen:       func(*testing.T, session.Store) session.Store { return b.store() },
	}.Run(t)
}

func TestSuiteFindsBugs(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range broken {
		t.Run(name, func(t *testing.T) {
			// A race is found in some runs and not in others.
			for range 20 {
				cmd := exec.Command(exe, "-test.run=^TestSuiteOnBroken$/^"+strings.ReplaceAll(b.found, "/", "$/^")+"$")
				cmd.Env = append(os.Environ(), brokenEnv+"="+name)
				out, err := cmd.CombinedOutput()
				if strings.Contains(string(out), "--- FAIL: TestSuiteOnBroken/"+b.found) {
					return
				}
				if err != nil {
					t.Fatalf("%v:\n%s", err, out)
				}
			}
			t.Errorf("the suite does not find it in %s", b.found)
		})
	}
}
