package fire_test

import (
	"runtime"
	"testing"

	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// A client that resumes its connection again and again, and claims to connections that do not
// exist, leave nothing behind.
func TestFloodOfResumes(t *testing.T) {
	count := load.Either(20_000, 1000)
	before := runtime.NumGoroutine()
	srv := load.Start(t, server.Options{Hooks: server.Hooks{OnRequest: echo}}, load.Site{})
	conn, w := claim(t, srv.Addr, nil)
	_ = conn.Abort()
	id := w.Conn
	first := load.Heap()
	for i := range count {
		last := conn
		conn, w = claim(t, srv.Addr, &protocol.Resume{Conn: id, Secret: w.Secret, Attempt: uint32(i + 1), FirstKept: 1})
		_ = last.Abort()
		if w.Outcome != protocol.OutcomeResumed {
			t.Fatalf("%d: %v", i, w.Outcome)
		}
	}
	growth := load.Heap() - first
	st := srv.Stats()
	load.Figure("flood of resumes", "one connection, heap + 1 MiB", "%d resumes: %d connections, heap %+d KiB", count, st.Open, growth>>10)
	if st.Open != 1 {
		t.Errorf("%d connections", st.Open)
	}
	if growth > 1<<20 {
		t.Errorf("the heap grew by %d bytes", growth)
	}
	_ = conn.Abort()
	srv.Drop()
	load.WantGoroutines(t, before)
}
