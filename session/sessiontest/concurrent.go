package sessiontest

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/session"
)

// version returns s as its n-th Save stores it: every field depends on n.
func version(s session.Session, n int) session.Session {
	s.Created = created.Add(time.Duration(n) * time.Second)
	s.LastSeen = s.Created.Add(time.Duration(n))
	s.Info = json.RawMessage(fmt.Sprintf(`{"version":%d}`, n))
	return s
}

// versionOf returns n, and an error if s is a mixture of versions. LastSeen may
// have been touched.
func versionOf(s session.Session) (int, error) {
	info, err := session.InfoAs[struct{ Version int }](s)
	if err != nil {
		return 0, err
	}
	if want := version(s, info.Version); !s.Created.Equal(want.Created) || s.LastSeen.Before(want.LastSeen) {
		return 0, fmt.Errorf("version %d with Created %v and LastSeen %v", info.Version, s.Created, s.LastSeen)
	}
	return info.Version, nil
}

func testMany(t *testing.T, st session.Store) {
	const savers, each = 8, 60
	var wg sync.WaitGroup
	sessions := make([]session.Session, savers*each)
	for i := range savers {
		wg.Go(func() {
			for j := i * each; j < (i+1)*each; j++ {
				sessions[j] = newSession(fmt.Sprint(j))
				if err := st.Save(t.Context(), sessions[j]); err != nil {
					t.Errorf("Save: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for i := range sessions {
		wantSession(t, st, sessions[i])
	}
	for i := 0; i < len(sessions); i += 10 {
		remove(t, st, sessions[i].Key)
	}
	for i := range sessions {
		if i%10 == 0 {
			wantNone(t, st, sessions[i].Key)
		} else {
			wantSession(t, st, sessions[i])
		}
	}
}

// testConcurrentSaves has several goroutines do everything with the same keys and
// looks for sessions that are mixtures or that should not be there.
func testConcurrentSaves(t *testing.T, st session.Store) {
	base := []session.Session{newSession(``), newSession(``), newSession(``)}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 15 {
				s := base[i%len(base)]
				n := g*1000 + i
				if err := st.Save(t.Context(), version(s, n)); err != nil {
					t.Errorf("Save: %v", err)
				}
				got, err := st.Load(t.Context(), s.Key)
				if err == nil {
					_, err = versionOf(got)
				}
				if err != nil && !errors.Is(err, session.ErrNotFound) {
					t.Errorf("Load: %v", err)
				}
				err = st.Touch(t.Context(), s.Key, created)
				if err != nil && !errors.Is(err, session.ErrNotFound) {
					t.Errorf("Touch: %v", err)
				}
				if i%5 == 4 {
					if err := st.Delete(t.Context(), s.Key); err != nil {
						t.Errorf("Delete: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	for _, s := range base {
		save(t, st, version(s, 9))
		wantSession(t, st, version(s, 9))
		remove(t, st, s.Key)
		wantNone(t, st, s.Key)
	}
}

// testTouchDuringSaves looks for a Touch that writes back what it read before a
// Save, whose session would be lost then.
func testTouchDuringSaves(t *testing.T, st session.Store) {
	s := newSession(``)
	save(t, st, version(s, 0))
	started, stop := make(chan struct{}, 4), make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := st.Touch(t.Context(), s.Key, created.Add(time.Duration(n))); err != nil {
					t.Errorf("Touch of a session that exists: %v", err)
					started <- struct{}{}
					return
				}
				if n == 0 {
					started <- struct{}{}
				}
			}
		})
	}
	<-started
	<-started
	for n := range 60 {
		if err := st.Save(t.Context(), version(s, n)); err != nil {
			t.Errorf("Save: %v", err)
			break
		}
		runtime.Gosched() // a Touch that began before may end now
		got, err := st.Load(t.Context(), s.Key)
		if err != nil {
			t.Errorf("Load: %v", err)
			break
		}
		if found, err := versionOf(got); err != nil || found != n {
			t.Errorf("Load after Save of version %d: version %d, %v", n, found, err)
			break
		}
	}
	close(stop)
	wg.Wait()
}

// testTouchDuringDelete looks for a Touch that brings a deleted session back.
func testTouchDuringDelete(t *testing.T, st session.Store) {
	for range 30 {
		s := newSession(`1`)
		save(t, st, s)
		var wg sync.WaitGroup
		started, stop := make(chan struct{}, 2), make(chan struct{})
		for range 2 {
			wg.Go(func() {
				for n := 1; ; n++ {
					err := st.Touch(t.Context(), s.Key, s.LastSeen.Add(time.Duration(n)*time.Second))
					if n == 1 {
						started <- struct{}{}
					}
					if errors.Is(err, session.ErrNotFound) {
						return
					}
					if err != nil {
						t.Errorf("Touch: %v", err)
						return
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		<-started
		err := st.Delete(t.Context(), s.Key)
		close(stop)
		if err != nil {
			t.Errorf("Delete: %v", err)
		}
		wantNone(t, st, s.Key)
		wg.Wait()
		wantNone(t, st, s.Key)
	}
}

// testUpdateDuringSaves looks for an Update that brings back what a Save replaced: the
// session is that of the last Save, with its Info or an updated one.
func testUpdateDuringSaves(t *testing.T, st session.Store) {
	s := newSession(``)
	save(t, st, version(s, 0))
	stop := repeat(t, func(int) error { return st.Update(t.Context(), s.Key, json.RawMessage(`"updated"`)) })
	for n := 1; n <= 40; n++ {
		want := version(s, n)
		if err := st.Save(t.Context(), want); err != nil {
			t.Errorf("Save: %v", err)
			break
		}
		runtime.Gosched() // an Update that began before may end now
		got, err := st.Load(t.Context(), s.Key)
		if err != nil {
			t.Errorf("Load: %v", err)
			break
		}
		if !got.Created.Equal(want.Created) || !got.LastSeen.Equal(want.LastSeen) || !sameInfo(got.Info, want.Info) && !sameInfo(got.Info, json.RawMessage(`"updated"`)) {
			t.Errorf("Load after Save of version %d: Created %v, LastSeen %v, Info %s", n, got.Created, got.LastSeen, got.Info)
			break
		}
	}
	stop()
}

// testUpdateDuringTouches looks for an Update that loses a Touch, or the other way round.
func testUpdateDuringTouches(t *testing.T, st session.Store) {
	s := newSession(`0`)
	save(t, st, s)
	stop := repeat(t, func(int) error { return st.Update(t.Context(), s.Key, json.RawMessage(`"updated"`)) })
	for n := 1; n <= 40; n++ {
		seen := s.LastSeen.Add(time.Duration(n) * time.Minute)
		touch(t, st, s.Key, seen)
		runtime.Gosched()
		if got := load(t, st, s.Key); seen.Sub(got.LastSeen) >= time.Second || got.LastSeen.After(seen) {
			t.Errorf("LastSeen after Touch: got %v, want %v", got.LastSeen, seen)
			break
		}
	}
	stop()
	stop = repeat(t, func(n int) error { return st.Touch(t.Context(), s.Key, s.LastSeen.Add(time.Duration(n)*time.Hour)) })
	for n := 1; n <= 40; n++ {
		want := fmt.Sprint(n)
		update(t, st, s.Key, want)
		runtime.Gosched()
		if got := load(t, st, s.Key); !sameInfo(got.Info, json.RawMessage(want)) {
			t.Errorf("Info after Update: got %s, want %s", got.Info, want)
			break
		}
	}
	stop()
}

// testUpdateDuringDelete looks for an Update that brings a deleted session back.
func testUpdateDuringDelete(t *testing.T, st session.Store) {
	for range 30 {
		s := newSession(`1`)
		save(t, st, s)
		stop := repeat(t, func(n int) error {
			err := st.Update(t.Context(), s.Key, json.RawMessage(fmt.Sprint(n)))
			if errors.Is(err, session.ErrNotFound) {
				return nil
			}
			return err
		})
		if err := st.Delete(t.Context(), s.Key); err != nil {
			t.Errorf("Delete: %v", err)
		}
		wantNone(t, st, s.Key)
		stop()
		wantNone(t, st, s.Key)
	}
}

// repeat has two goroutines call do again and again, with a growing number, until stop is
// called. Each has called it once when repeat returns.
func repeat(t *testing.T, do func(n int) error) (stop func()) {
	t.Helper()
	var wg sync.WaitGroup
	began, done := make(chan struct{}, 2), make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for n := 1; ; n++ {
				err := do(n)
				if n == 1 {
					began <- struct{}{}
				}
				if err != nil {
					t.Errorf("concurrently: %v", err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	<-began
	<-began
	return func() {
		close(done)
		wg.Wait()
	}
}
