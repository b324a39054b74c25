package transporttest

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webwire-go/webwire/transport"
)

var timing = []promise{
	{name: "SilenceEndsTheRead", test: testSilenceEndsTheRead},
	{name: "SilenceCountsFromTheRead", test: testSilenceCountsFromTheRead},
	{name: "PingsKeepAlive", test: testPingsKeepAlive},
	{name: "PingsNeedAReader", test: testPingsNeedAReader},
	{name: "StuckWriteIsCut", test: testStuckWriteIsCut},
	{name: "StuckWriteDelaysNoRead", test: testStuckWriteDelaysNoRead},
	{name: "EndlessLimits", test: testEndlessLimits},
}

// short is a limit that a test waits for, and within which a connection is opened. Where
// time is real, that may take a while on a busy machine.
func (h Harness) short() time.Duration {
	if h.Bubble {
		return 200 * time.Millisecond
	}
	return 2 * time.Second
}

// A Read that nothing arrives for ends, not before its time and not long after.
func testSilenceEndsTheRead(t *testing.T, h Harness) {
	limits := transport.Limits{ReadTimeout: h.short()}
	a, _ := h.pair(t, limits, transport.Limits{})
	start := time.Now()
	within(t, limits.ReadTimeout*9/8, "Read", func() {
		_, err := a.Read(nil)
		wantTimeout(t, "Read", err)
	})
	if took := time.Since(start); took < limits.ReadTimeout {
		t.Errorf("Read gave up after %v, its limit is %v", took, limits.ReadTimeout)
	}
	wantDead(t, a)
}

// The time between two Reads, and that of a Read which got something, does not count.
func testSilenceCountsFromTheRead(t *testing.T, h Harness) {
	limits := transport.Limits{ReadTimeout: h.short()}
	a, b := h.pair(t, limits, transport.Limits{})
	for range 2 {
		send(t, b, []byte("x"))
		wantMessage(t, a, []byte("x"))
		time.Sleep(limits.ReadTimeout * 3 / 4)
	}
	start := time.Now()
	_, err := a.Read(nil)
	wantTimeout(t, "Read", err)
	if took := time.Since(start); took < limits.ReadTimeout {
		t.Errorf("Read gave up after %v, its limit is %v", took, limits.ReadTimeout)
	}
}

// The answer to a ping is a sign of life for the one who sent it, and the ping
// for the other, as long as both are reading.
func testPingsKeepAlive(t *testing.T, h Harness) {
	// On a busy machine the handshakes of the tests beside this one take seconds of one processor.
	limits := transport.Limits{ReadTimeout: 2 * h.short()}
	a, b := h.pair(t, limits, limits)
	atA, atB := reading(a), reading(b)
	ticker := time.NewTicker(limits.ReadTimeout / 10)
	defer ticker.Stop()
	for range 20 {
		<-ticker.C
		if err := a.Ping(); err != nil {
			t.Fatalf("Ping: %v", err)
		}
	}
	send(t, a, []byte("still here"))
	send(t, b, []byte("here too"))
	for name, ch := range map[string]<-chan result{"a": atA, "b": atB} {
		if got := await(t, "Read of "+name, ch); got.err != nil {
			t.Errorf("Read of %s: %v", name, got.err)
		}
	}
}

// A peer that does not read is not alive: it answers no ping.
func testPingsNeedAReader(t *testing.T, h Harness) {
	limits := transport.Limits{ReadTimeout: h.short(), WriteTimeout: 20 * time.Second}
	a, _ := h.pair(t, limits, transport.Limits{})
	read := reading(a)
	within(t, limits.ReadTimeout*9/8, "Read", func() {
		ticker := time.NewTicker(limits.ReadTimeout / 10)
		defer ticker.Stop()
		for {
			select {
			case got := <-read:
				wantTimeout(t, "Read", got.err)
				return
			case <-ticker.C:
				// Blocks where nothing is stored on the way, and then fails with the Read.
				go a.Ping()
			}
		}
	})
}

// Every Write to a peer that does not read ends within the write timeout, those
// that wait for their turn too, and the connection with it.
func testStuckWriteIsCut(t *testing.T, h Harness) {
	limits := transport.Limits{WriteTimeout: h.short()}
	a, _ := h.pair(t, limits, transport.Limits{})
	const writers = 3
	ends := make(chan error, writers)
	for range writers {
		go func() {
			msg := make([]byte, 50_000)
			for {
				start := time.Now()
				err := a.Write(msg, msg)
				if took := time.Since(start); took > limits.WriteTimeout+slack {
					t.Errorf("Write took %v, the limit is %v", took, limits.WriteTimeout)
				}
				if err != nil {
					ends <- err
					return
				}
			}
		}()
	}
	for range writers {
		wantTimeout(t, "Write", await(t, "Write", ends))
	}
	wantDead(t, a)
}

// The reader goes on, and answers pings without waiting, while a Write is stuck.
func testStuckWriteDelaysNoRead(t *testing.T, h Harness) {
	limits := transport.Limits{WriteTimeout: 10 * time.Minute}
	a, b := h.pair(t, limits, limits)
	stuck := flood(t, a)
	var sender sync.WaitGroup
	sender.Go(func() {
		for range 100 {
			if err := b.Ping(); err != nil {
				t.Errorf("Ping: %v", err)
			}
			if err := b.Write([]byte("x")); err != nil {
				t.Errorf("Write: %v", err)
			}
		}
	})
	within(t, 0, "Read beside a stuck Write", func() {
		for range 100 {
			wantMessage(t, a, []byte("x"))
		}
		sender.Wait()
	})
	a.Abort()
	wantLocal(t, "stuck Write", await(t, "Write", stuck))
}

// flood writes to c, whose peer does not read, until Write blocks, and returns
// the channel of the error that it ends with.
func flood(t *testing.T, c transport.Conn) <-chan error {
	t.Helper()
	var written atomic.Int64
	ended := make(chan error, 1)
	go func() {
		msg := make([]byte, 50_000)
		for {
			if err := c.Write(msg); err != nil {
				ended <- err
				return
			}
			written.Add(1)
		}
	}()
	// Blocked is what makes no progress for a while in which this goroutine ran more than
	// once: a process that stands still makes none either.
	const calm = 50 * time.Millisecond
	start := time.Now()
	last, since, looks := int64(-1), start, 0
	for ; looks < 3 || time.Since(since) < calm; looks++ {
		if n := written.Load(); n != last {
			last, since, looks = n, time.Now(), 0
		}
		time.Sleep(calm / 10)
		if time.Since(start) > patience {
			t.Fatal("Write never blocks although the peer does not read")
		}
	}
	return ended
}

// The longest times there are limit nothing, and do not overflow.
func testEndlessLimits(t *testing.T, h Harness) {
	limits := transport.Limits{ReadTimeout: math.MaxInt64, WriteTimeout: math.MaxInt64, CloseTimeout: math.MaxInt64}
	a, b := h.pair(t, limits, limits)
	msg := make([]byte, 1<<20)
	for _, ends := range [][2]transport.Conn{{a, b}, {b, a}, {a, b}} {
		written := make(chan error, 1)
		go func() { written <- ends[0].Write(msg) }()
		wantMessage(t, ends[1], msg)
		if err := await(t, "Write", written); err != nil {
			t.Fatalf("Write: %v", err)
		}
	}
	atA, atB := draining(a), draining(b)
	if err := a.Ping(); err != nil {
		t.Fatalf("Ping: %v", err)
	}
	within(t, 0, "Close", func() { a.Close(transport.StatusGoingAway, "bye") })
	wantClosed(t, "Read of b", await(t, "Read of b", atB), transport.CloseError{Status: transport.StatusGoingAway, Reason: "bye"})
	wantLocal(t, "Read of a", await(t, "Read of a", atA))
}
