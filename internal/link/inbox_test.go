package link

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// blocking is a Role whose tasks wait for the end of the connection, or for release.
type blocking struct {
	link    *Link
	release chan struct{}
	ordered bool
}

func (b *blocking) Receive(m protocol.Message) {
	m = m.Clone(nil)
	t := task(func() {
		select {
		case <-b.release:
		case <-b.link.Context().Done():
		}
	})
	if b.ordered {
		b.link.Order(Cost(m), t)
	} else {
		b.link.Go(Cost(m), t)
	}
}

func (b *blocking) Malformed(protocol.Message, error) {}
func (b *blocking) Overflow()                         {}

func runBlocking(t *testing.T, conf Config, ordered bool) (*running, *blocking) {
	role := &blocking{release: make(chan struct{}), ordered: ordered}
	conf.Role = role
	l := &running{New(t.Context(), conf), make(chan error, 1)}
	role.link = l.Link
	go func() { l.reason <- l.Run() }()
	t.Cleanup(func() {
		l.Abort(errTestOver)
	})
	return l, role
}

func encoded(t *testing.T, size int) []byte {
	t.Helper()
	b, err := protocol.V1_2.Append(nil, protocol.Message{Kind: protocol.Signal, Payload: protocol.Bytes(make([]byte, size))})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What running tasks hold counts as what waits does.
func TestRunningTasksCount(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			conf := config(w)
			conf.Limits.Tasks.Budget = 100_000
			l, role := runBlocking(t, conf, ordered)
			msg := encoded(t, 10_000)
			for range 100 {
				w.arrive(msg)
			}
			synctest.Wait()
			if n := l.received.Load(); n != 10 {
				t.Errorf("ordered %v: %d messages of 10 kB were taken into 100 kB", ordered, n)
			}
			close(role.release)
			synctest.Wait()
			if n := l.received.Load(); n != 100 {
				t.Errorf("ordered %v: %d messages were received", ordered, n)
			}
			if room, _, _ := l.tasks.Lack(-conf.Limits.Tasks.Budget); room != nil {
				t.Errorf("ordered %v: bytes are still charged", ordered)
			}
		})
	}
}

// A peer that is gone is noticed although handlers make no room: what it sent before
// is read little by little, and the end behind that is found.
func TestEndBehindAFullInbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		conf := config(w)
		conf.Limits.Tasks.Budget = 1 << 10
		conf.Limits.KeepAlive = 10 * time.Second
		l, _ := runBlocking(t, conf, false)
		for range 100 {
			w.arrive(encoded(t, 1))
		}
		synctest.Wait()
		if n := l.received.Load(); n >= 10 {
			t.Fatalf("%d messages were taken into a kilobyte", n)
		}
		start := time.Now()
		time.Sleep(time.Second)
		go func() { w.input <- nil; w.end() }() // behind all of them
		<-l.reason
		if d := time.Since(start); d > 11*time.Second {
			t.Errorf("the end was found after %v", d)
		}
	})
}

// What has arrived when a socket is given up, and for which there is no room, is not read any
// more, however long the socket takes to close: the peer sends it again on the next one.
func TestSocketGivenUpBehindAFullInbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &lingering{newWire(), make(chan struct{})}
		conf := resuming(s.wire)
		conf.Conn = s
		conf.Limits.Tasks.Budget = 1 << 10
		l, _ := runBlocking(t, conf, false)
		for range 100 {
			s.arrive(inBytes(t, signal("s", "x")))
		}
		synctest.Wait()
		before := l.Received()
		if !l.CloseSocket(transport.StatusGoingAway, "", errTestOver) {
			t.Error("the connection has ended")
		}
		synctest.Wait()
		if n := l.Received(); n != before || n == 0 || n == 100 {
			t.Errorf("%d messages were received, %d before the socket was given up", n, before)
		}
		select {
		case <-l.reason:
		default:
			t.Error("Run waits for the socket")
		}
		close(s.release)
		l.Abort(errTestOver)
		_ = l.Finish()
	})
}

// A peer that sends more than all that ends its connection, if no handler returns for
// many intervals; one handler that does is enough for it to live on.
func TestStarved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		conf := config(w)
		conf.Limits.Tasks.Budget = 100_000
		conf.Limits.KeepAlive = 10 * time.Second
		l, role := runBlocking(t, conf, false)
		msg := encoded(t, 10_000)
		for range 1000 {
			w.arrive(msg)
		}
		for range 50 {
			time.Sleep(200 * time.Second)
			select {
			case role.release <- struct{}{}:
			case err := <-l.reason:
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := l.received.Load(); n > 50+10*(1+maxOverdraft) {
			t.Errorf("%d messages are held", n)
		}
		if l.Cause() != nil {
			t.Fatalf("the connection ended although handlers return: %v", l.Cause())
		}
		start := time.Now()
		if err := <-l.reason; !errors.Is(err, ErrStarved) {
			t.Errorf("it ended with %v", err)
		}
		if d := time.Since(start); d > (maxStarved+1)*conf.Limits.KeepAlive {
			t.Errorf("it ended after %v", d)
		}
	})
}

// While the inbox is full the peer is pinged twice in each interval: whatever it writes
// waits, and must not count as late there, whose limit may be an interval as well.
func TestPingsWhileHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &monitored{wire: newWire()}
		conf := config(m)
		conf.Limits.Tasks.Budget = 1 << 10
		conf.Limits.KeepAlive = 10 * time.Second
		l, role := runBlocking(t, conf, false)
		msg := encoded(t, 1000)
		for range 1000 {
			m.arrive(msg)
		}
		for range 20 {
			before := m.pings.Load()
			time.Sleep(conf.Limits.KeepAlive/2 + time.Millisecond)
			if m.pings.Load() == before {
				t.Errorf("no ping in half of an interval, after %d messages", l.received.Load())
			}
		}
		close(role.release)
		synctest.Wait()
		time.Sleep(conf.Limits.KeepAlive + time.Millisecond) // from the last message
		before := m.pings.Load()
		time.Sleep(10 * conf.Limits.KeepAlive)
		if n := m.pings.Load() - before; n > 10 {
			t.Errorf("%d pings in 10 intervals when there is room again", n)
		}
	})
}

// A peer that does not answer after the reader was held up is gone. It has the read timeout
// since its last sign of life, but at least half of that from the time on at which its
// answers can be read; and one that answers lives on.
func TestSilentSinceHeldUp(t *testing.T) {
	const interval = 10 * time.Second
	for _, c := range []struct {
		name       string
		messages   int           // of 10 kB, for an inbox of 100 kB
		free       time.Duration // when handlers return; zero: never
		answers    bool
		unanswered bool // it is known that the peer never answers
		ends       time.Duration
	}{
		{"read on once", 15, 0, false, false, 3 * interval},
		{"read on three times", 35, 0, false, false, 3 * interval},
		{"handlers return late", 1000, 10 * interval, false, false, 10*interval + 3*interval/2},
		{"handlers return at once", 1000, interval / 4, false, false, 0}, // that is for the read timeout
		{"it answers", 35, 0, true, false, 0},
		{"handlers return late and it answers", 1000, 10 * interval, true, false, 0},
		{"it never answers", 15, 0, false, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &monitored{wire: newWire()}
				m.gone.Store(!c.answers)
				conf := config(m)
				conf.Limits.Tasks.Budget = 100_000
				conf.Limits.KeepAlive, conf.Limits.Unanswered = interval, c.unanswered
				l, role := runBlocking(t, conf, false)
				start := time.Now()
				msg := encoded(t, 10_000)
				for range c.messages {
					m.arrive(msg)
				}
				if c.free > 0 {
					time.AfterFunc(c.free, func() { close(role.release) })
				}
				select {
				case err := <-l.reason:
					if took := time.Since(start); took != c.ends || !errors.Is(err, ErrSilent) {
						t.Errorf("it ended after %v with %v, want %v", took, err, c.ends)
					}
				case <-time.After(20 * interval):
					if c.ends != 0 {
						t.Errorf("it did not end, want %v", c.ends)
					}
				}
			})
		})
	}
}
