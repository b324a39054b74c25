package chat

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/server"
)

func TestMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left []string
		s := newMembers(0, func(name string) { left = append(left, name) })
		ada1, ada2, bob := new(server.Conn), new(server.Conn), new(server.Conn)
		joins := func(c *server.Conn, name string) (news bool) {
			t.Helper()
			news, err := s.join(c, name)
			if err != nil {
				t.Error(err)
			}
			return news
		}
		expect := func(when, there, gone string) {
			t.Helper()
			synctest.Wait()
			if got := strings.Join(s.names(), " "); got != there {
				t.Errorf("%s: %q are there, want %q", when, got, there)
			}
			if got := strings.Join(left, " "); got != gone {
				t.Errorf("%s: %q left, want %q", when, got, gone)
			}
			left = nil
		}
		if !joins(bob, "Bob") || !joins(ada1, "Ada") || joins(ada2, "ada") || joins(ada1, "Ada") {
			t.Error("it is news when somebody comes, and not when another connection does")
		}
		expect("all", "Ada Bob", "")

		s.leave(ada1, true)
		expect("one of two connections left", "Ada Bob", "")
		s.leave(ada2, false)
		time.Sleep(grace - 1)
		expect("shortly after the other one is lost", "Ada Bob", "")
		if joins(ada1, "Ada") {
			t.Error("it is news that somebody is back soon")
		}
		time.Sleep(time.Hour)
		expect("back in time", "Ada Bob", "")

		s.leave(ada1, false)
		time.Sleep(grace)
		expect("not back in time", "Bob", "Ada")
		s.leave(bob, true)
		expect("on purpose", "", "Bob")
		s.leave(bob, true)
		expect("twice", "", "")

		s.join(ada1, "Ada")
		s.join(ada2, "Ada")
		s.join(bob, "Bob")
		if got := slices.Collect(s.all("ADA")); len(got) != 1 || got[0] != bob {
			t.Errorf("all but Ada are %v", got)
		}
		s.drop("Ada")
		expect("dropped", "Bob", "Ada")
		if s.has(ada1) || s.has(ada2) || !s.has(bob) {
			t.Error("who was dropped has connections")
		}

		s.leave(bob, false)
		s.close()
		time.Sleep(time.Hour)
		expect("after close", "Bob", "")
	})
}
