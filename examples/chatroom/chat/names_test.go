package chat

import (
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "names.json")
		var n *names
		restart := func() {
			t.Helper()
			var err error
			if n, err = openNames(path); err != nil {
				t.Fatal(err)
			}
		}
		claim := func(name, key string, want error) {
			t.Helper()
			if err := n.claim(name, key); !errors.Is(err, want) {
				t.Errorf("claim %s for %s: %v, want %v", name, key, err, want)
			}
		}
		uses := func(name, key string, want bool) {
			t.Helper()
			if ok, err := n.use(name, key); ok != want || err != nil {
				t.Errorf("use %s by %s: %v, %v", name, key, ok, err)
			}
		}
		restart()
		claim("Ada", "a", nil)
		claim("ADA", "b", ErrNameTaken)
		claim("Bob", "b", nil)
		uses("Ada", "a", true)
		uses("Ada", "b", false)
		uses("Eve", "a", false)

		restart()
		uses("Ada", "a", true)
		time.Sleep(firstUse)
		claim("Ada", "c", ErrNameTaken) // it was used
		claim("Bob", "c", nil)          // it never was
		uses("Bob", "b", false)

		if name, ok := n.closing("a"); name != "Ada" || !ok {
			t.Errorf("closing: %q, %v", name, ok)
		}
		uses("Ada", "a", false)
		claim("Ada", "d", ErrNameTaken)
		if err := n.free("a"); err != nil {
			t.Error(err)
		}
		claim("Ada", "d", nil)
		uses("Ada", "d", true)

		time.Sleep(nameAge - 1)
		uses("Ada", "d", true)
		restart() // the last use is known for all that
		time.Sleep(nameAge - time.Hour)
		claim("Ada", "e", ErrNameTaken)
		time.Sleep(time.Hour)
		claim("Ada", "e", nil)
		if _, ok := n.closing("d"); ok {
			t.Error("the name of a session that lost it is still its name")
		}
		if err := n.free("d"); err != nil {
			t.Error(err)
		}
		claim("ada", "f", ErrNameTaken)
	})
}
