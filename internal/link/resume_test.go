package link

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// resuming returns the configuration of a link that outlives its sockets.
func resuming(w *wire) Config {
	conf := config3(w)
	conf.Keeping = &outbox.Keeping{}
	return conf
}

// lose ends the socket of a link, which must go on without it.
func (h *handling) lose(t *testing.T, w *wire) {
	t.Helper()
	w.end()
	<-h.reason
	if !h.IsAway() {
		t.Fatal("the connection is not away")
	}
}

// resume gives a link another socket.
func (h *handling) resume(t *testing.T, w *wire, r Resumption) {
	t.Helper()
	r.Conn = w
	if err := h.Resume(r); err != nil {
		t.Fatal(err)
	}
	go func() { h.reason <- h.Run() }()
	synctest.Wait()
}

// names returns those of the signals that arrived.
func (h *handling) names() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for _, m := range h.got {
		all = append(all, m.Name)
	}
	return strings.Join(all, " ")
}

func inBytes(t testing.TB, m protocol.Message) []byte {
	msg, err := protocol.V3_0.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// Late messages count as received when the last of them has arrived: if the socket is lost
// before, those that had not arrived are sent again, and the others are not taken twice.
func TestLateMessagesAreCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		h := start(t, resuming(w), nil)
		arrive := func(w *wire, names ...string) {
			for _, name := range names {
				w.arrive(inBytes(t, signal(name, "")))
			}
			synctest.Wait()
		}
		received := func(want uint64) {
			t.Helper()
			if n := h.Received(); n != want {
				t.Errorf("%d messages were received, want %d", n, want)
			}
		}
		arrive(w, "1", "2")
		h.lose(t, w)

		w = newWire()
		h.resume(t, w, Resumption{From: 11, Late: 3})
		arrive(w, "a")
		received(2)
		h.lose(t, w)

		w = newWire()
		h.resume(t, w, Resumption{From: 13, Late: 4})
		arrive(w, "a", "b")
		received(2)
		h.lose(t, w)

		w = newWire()
		h.resume(t, w, Resumption{From: 13, Late: 4})
		arrive(w, "a", "b", "c")
		received(2)
		arrive(w, "d")
		received(12)
		time.Sleep(2 * ackTime)
		if all := w.written(); len(all) == 0 || all[len(all)-1][0] != string(inBytes(t, protocol.Message{Kind: protocol.Ack, Number: 12})) {
			t.Errorf("written is %q, want an acknowledgement", all)
		}
		arrive(w, "13")
		received(13)
		h.lose(t, w)

		w = newWire()
		h.resume(t, w, Resumption{From: 14})
		arrive(w, "14")
		received(14)
		if got := h.names(); got != "1 2 a b c d 13 14" {
			t.Errorf("%s arrived", got)
		}
	})
}

// stuck is a socket that does not release what is called until the test wants it to.
type stuck struct {
	*wire
	release chan struct{}
}

func (s *stuck) Write(...[]byte) error {
	<-s.release
	return net.ErrClosed
}

func (s *stuck) Ping() error {
	<-s.release
	return io.ErrClosedPipe
}

// A write or a ping that was in progress when its socket was lost fails late: that says
// nothing about the next socket.
func TestLateErrorOfSocket(t *testing.T) {
	for name, use := range map[string]func(h *handling) error{
		"write": func(h *handling) error { return h.TrySendEncoded(inBytes(t, signal("1", ""))) },
		"ping":  func(h *handling) error { h.pingNow(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stuck{wire: newWire(), release: make(chan struct{})}
				conf := resuming(s.wire)
				conf.Conn = s
				h := start(t, conf, nil)
				synctest.Wait()
				if err := use(h); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				s.end()
				time.AfterFunc(time.Second, func() { close(s.release) })
				<-h.reason
				w := newWire()
				h.resume(t, w, Resumption{From: 1})
				time.Sleep(time.Minute)
				if h.IsAway() || h.Cause() != nil {
					t.Fatalf("away: %v, cause: %v", h.IsAway(), h.Cause())
				}
				if err := h.TrySendEncoded(inBytes(t, signal("2", ""))); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				want := 1
				if name == "write" {
					want = 2
				}
				all := ""
				for _, batch := range w.written() {
					all += strings.Join(batch, "|") + "|"
				}
				if n := strings.Count(all, "|"); n != want {
					t.Errorf("written is %q", all)
				}
				h.lose(t, w)
				h.resume(t, newWire(), Resumption{From: 1, Received: uint64(want)})
			})
		})
	}
}

// Whatever ends while the next socket is taken, what the link knows of itself agrees with
// what its outbox knows.
func TestResumeBesideTheEnd(t *testing.T) {
	for range 200 {
		w := newWire()
		h := start(t, resuming(w), nil)
		w.end()
		<-h.reason
		next := newWire()
		var beside sync.WaitGroup
		beside.Go(func() { h.DropSocket(errTestOver) })
		beside.Go(func() { h.AbortAway(errTestOver) })
		err := h.Resume(Resumption{Conn: next, From: 1})
		switch {
		case err == nil:
			go func() { h.reason <- h.Run() }()
			beside.Wait()
			if h.IsAway() {
				<-h.reason
				if err := h.Resume(Resumption{Conn: newWire(), From: 1}); err != nil {
					t.Fatal(err)
				}
				go func() { h.reason <- h.Run() }()
			}
		case !errors.Is(err, errTestOver):
			t.Fatal(err)
		default:
			beside.Wait()
			h.reason <- h.Finish()
		}
	}
}

// lingering is a wire whose Close does not return before it is released.
type lingering struct {
	*wire
	release chan struct{}
}

func (l *lingering) Close(transport.Status, string) error {
	<-l.release
	return nil
}

// A connection that is about to be closed gets no other socket: what closes it would end
// that one too, without a word.
func TestResumeOfWhatIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &lingering{newWire(), make(chan struct{})}
		conf := resuming(s.wire)
		conf.Conn = s
		h := start(t, conf, nil)
		h.lose(t, s.wire)
		h.DisconnectLater(transport.StatusReplaced, "", errTestOver)
		w := newWire()
		if err := h.Resume(Resumption{Conn: w, From: 1}); err != errTestOver {
			t.Errorf("Resume: %v", err)
		}
		close(s.release)
		if h.reason <- h.Finish(); h.Cause() != errTestOver {
			t.Error(h.Cause())
		}
		if w.aborts > 0 || len(w.closes) > 0 {
			t.Error("the socket is the link's")
		}
	})
}

// A graceful close is not forgotten if the client has come back on another socket before it
// finds out that the first one is over.
func TestCloseBesideResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		h := start(t, resuming(w), nil)
		release := make(chan struct{})
		h.Go(0, task(func() { <-release }))
		h.Close(transport.StatusNormalClosure, "", errTestOver)
		synctest.Wait()
		over := h.modern.over // so that it finds out later
		h.modern.over = nil
		h.lose(t, w)
		next := newWire()
		h.resume(t, next, Resumption{From: 1})
		close(over)
		synctest.Wait()
		close(release)
		select {
		case err := <-h.reason:
			if h.reason <- err; err != errTestOver || len(next.closes) != 1 {
				t.Errorf("the connection ended because %v, with %v", err, next.closes)
			}
		case <-time.After(time.Hour):
			t.Error("the connection goes on")
		}
	})
}
