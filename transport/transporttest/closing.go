package transporttest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/transport"
)

var closing = []promise{
	{name: "CloseTellsThePeer", test: testCloseTellsThePeer},
	{name: "CloseReasons", test: testCloseReasons},
	{name: "CloseAfterWrites", test: testCloseAfterWrites},
	{name: "CloseOfBothEnds", test: testCloseOfBothEnds},
	{name: "CloseReleasesBlockedCalls", test: testCloseReleasesBlockedCalls},
	{name: "CloseOfABusyConnection", test: testCloseOfABusyConnection},
	{name: "AbortLosesTheConnection", test: testAbortLosesTheConnection},
	{name: "AbortReleasesBlockedCalls", test: testAbortReleasesBlockedCalls},
	{name: "EndedByManyAtOnce", test: testEndedByManyAtOnce},
	{name: "EndedBeforeUse", test: testEndedBeforeUse},
}

// Each side learns the status, the reason and who closed, from every call.
func testCloseTellsThePeer(t *testing.T, h Harness) {
	a, b := h.pair(t, transport.Limits{}, transport.Limits{})
	atA, atB := reading(a), reading(b)
	within(t, transport.DefaultCloseTimeout, "Close", func() {
		if err := a.Close(transport.StatusGoingAway, "see you"); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	local := transport.CloseError{Status: transport.StatusGoingAway, Reason: "see you", Local: true}
	remote := transport.CloseError{Status: transport.StatusGoingAway, Reason: "see you"}
	wantClosed(t, "Read of the closing side", await(t, "Read", atA).err, local)
	wantClosed(t, "Read of the other side", await(t, "Read", atB).err, remote)
	wantClosed(t, "Write of the closing side", a.Write([]byte("x")), local)
	wantClosed(t, "Write of the other side", b.Write([]byte("x")), remote)
	wantClosed(t, "Ping of the closing side", a.Ping(), local)
	wantClosed(t, "Ping of the other side", b.Ping(), remote)
	_, err := a.Read(nil)
	wantClosed(t, "second Read of the closing side", err, local)
	_, err = b.Read(nil)
	wantClosed(t, "second Read of the other side", err, remote)
	if err := b.Close(transport.StatusInternalError, "late"); err != nil {
		t.Errorf("Close of the other side: %v", err)
	}
	wantClosed(t, "Write after a late Close", b.Write([]byte("x")), remote)
}

// What may not be sent is replaced by what may.
func testCloseReasons(t *testing.T, h Harness) {
	long := "x" + strings.Repeat("é", 200)
	for _, c := range []struct {
		status, wantStatus transport.Status
		reason, wantReason string
	}{
		{transport.StatusNormalClosure, transport.StatusNormalClosure, "", ""},
		{transport.StatusSlowConsumer, transport.StatusSlowConsumer, "slow", "slow"},
		{4999, 4999, "an application's", "an application's"},
		{transport.StatusNoStatusReceived, transport.StatusNormalClosure, "kept", "kept"},
		{1006, transport.StatusNormalClosure, "", ""},
		{0, transport.StatusNormalClosure, "", ""},
		{999, transport.StatusNormalClosure, "", ""},
		{5000, transport.StatusNormalClosure, "", ""},
		{transport.StatusPolicyViolation, transport.StatusPolicyViolation, long, "x" + strings.Repeat("é", 61)},
		{transport.StatusPolicyViolation, transport.StatusPolicyViolation, "a\xffb", "a\uFFFDb"},
	} {
		a, b := h.pair(t, transport.Limits{}, transport.Limits{})
		atB := reading(b)
		if err := a.Close(c.status, c.reason); err != nil {
			t.Errorf("Close(%d, %q): %v", c.status, c.reason, err)
		}
		wantClosed(t, fmt.Sprintf("Read after Close(%d, %q)", c.status, c.reason), await(t, "Read", atB).err,
			transport.CloseError{Status: c.wantStatus, Reason: c.wantReason})
	}
}

// What Write accepted comes before the close.
func testCloseAfterWrites(t *testing.T, h Harness) {
	a, b := h.pair(t, transport.Limits{}, transport.Limits{})
	const count = 200
	var sender sync.WaitGroup
	sender.Go(func() {
		for i := range count {
			if err := a.Write(fmt.Appendf(nil, "%d", i)); err != nil {
				t.Errorf("Write: %v", err)
			}
		}
		a.Close(transport.StatusNormalClosure, "done")
	})
	defer sender.Wait()
	for i := range count {
		wantMessage(t, b, fmt.Appendf(nil, "%d", i))
	}
	_, err := b.Read(nil)
	wantClosed(t, "Read", err, transport.CloseError{Status: transport.StatusNormalClosure, Reason: "done"})
}

// Both ends may close at once, whether or not anybody reads.
func testCloseOfBothEnds(t *testing.T, h Harness) {
	for _, read := range []bool{false, true} {
		a, b := h.pair(t, transport.Limits{}, transport.Limits{})
		var reads []<-chan result
		if read {
			reads = append(reads, reading(a), reading(b))
		}
		var all sync.WaitGroup
		for _, c := range []transport.Conn{a, b} {
			all.Go(func() {
				if err := c.Close(transport.StatusNormalClosure, ""); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		}
		within(t, transport.DefaultCloseTimeout, "Close of both ends", all.Wait)
		for _, read := range reads {
			closeError(t, await(t, "Read", read).err)
		}
		wantDead(t, a)
		wantDead(t, b)
	}
}

// Close ends a Read and a stuck Write although the peer does nothing at all.
func testCloseReleasesBlockedCalls(t *testing.T, h Harness) {
	limits := transport.Limits{CloseTimeout: 200 * time.Millisecond}
	a, _ := h.pair(t, limits, transport.Limits{})
	read := reading(a)
	stuck := flood(t, a)
	within(t, limits.CloseTimeout, "Close", func() {
		if err := a.Close(transport.StatusSlowConsumer, "too slow"); err != nil {
			t.Errorf("Close: %v", err)
		}
		// Blocked calls end within the same time.
		wantLocal(t, "blocked Read", await(t, "Read", read).err)
		wantLocal(t, "blocked Write", await(t, "Write", stuck))
	})
	wantDead(t, a)
}

// A Close in the middle of traffic reaches the peer too.
func testCloseOfABusyConnection(t *testing.T, h Harness) {
	a, b := h.pair(t, transport.Limits{}, transport.Limits{})
	var writers sync.WaitGroup
	for _, c := range []transport.Conn{a, a, b, b} {
		writers.Go(func() {
			for msg := make([]byte, 3000); c.Write(msg, msg) == nil; {
			}
		})
	}
	atA, enough := draining(a), make(chan struct{})
	var once sync.Once
	atB := make(chan error, 1)
	go func() {
		var buf []byte
		for n := 0; ; n++ {
			msg, err := b.Read(buf)
			if err != nil {
				once.Do(func() { close(enough) })
				atB <- err
				return
			}
			buf = msg
			if n == 100 {
				once.Do(func() { close(enough) })
			}
		}
	}()
	await(t, "traffic", enough)
	within(t, transport.DefaultCloseTimeout, "Close", func() { a.Close(transport.StatusGoingAway, "restart") })
	wantClosed(t, "Read of the peer", await(t, "Read", atB),
		transport.CloseError{Status: transport.StatusGoingAway, Reason: "restart"})
	wantLocal(t, "Read of the closing side", await(t, "Read", atA))
	writers.Wait()
}

// The peer of an aborted connection sees a loss, not a close.
func testAbortLosesTheConnection(t *testing.T, h Harness) {
	a, b := h.pair(t, transport.Limits{}, transport.Limits{})
	atA, atB := reading(a), reading(b)
	within(t, 0, "Abort", func() {
		if err := a.Abort(); err != nil {
			t.Errorf("Abort: %v", err)
		}
	})
	wantLocal(t, "Read of the aborting side", await(t, "Read", atA).err)
	wantLocal(t, "Write of the aborting side", a.Write([]byte("x")))
	wantLost(t, "Read of the other side", await(t, "Read", atB).err)
	wantDead(t, a)
	wantDead(t, b)
}

// Abort ends what is blocked at once, a Close included.
func testAbortReleasesBlockedCalls(t *testing.T, h Harness) {
	limits := transport.Limits{CloseTimeout: 10 * time.Minute, WriteTimeout: 10 * time.Minute}
	for _, closeFirst := range []bool{false, true} {
		a, _ := h.pair(t, limits, transport.Limits{})
		read := reading(a)
		stuck := flood(t, a)
		closed := make(chan error, 1)
		if closeFirst {
			go func() { closed <- a.Close(transport.StatusNormalClosure, "") }()
		} else {
			closed <- nil
		}
		within(t, 0, "Abort", func() {
			if err := a.Abort(); err != nil {
				t.Errorf("Abort: %v", err)
			}
			wantLocal(t, "blocked Read", await(t, "Read", read).err)
			wantLocal(t, "blocked Write", await(t, "Write", stuck))
			if err := await(t, "Close", closed); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		wantDead(t, a)
	}
}

// Close and Abort may be called by anybody, any number of times, at any moment.
func testEndedByManyAtOnce(t *testing.T, h Harness) {
	for _, abort := range []bool{false, true} {
		limits := transport.Limits{CloseTimeout: 200 * time.Millisecond}
		a, b := h.pair(t, limits, limits)
		reads := []<-chan error{draining(a), draining(b)}
		var all sync.WaitGroup
		for _, c := range []transport.Conn{a, b} {
			all.Go(func() {
				for c.Write(make([]byte, 100)) == nil {
				}
			})
			all.Go(func() {
				for c.Ping() == nil {
				}
			})
			for i := range 8 {
				all.Go(func() {
					err := error(nil)
					if abort && i%2 == 1 {
						err = c.Abort()
					} else {
						err = c.Close(transport.StatusNormalClosure, "")
					}
					if err != nil {
						t.Errorf("end: %v", err)
					}
				})
			}
		}
		within(t, limits.CloseTimeout, "many Close and Abort", all.Wait)
		for _, read := range reads {
			await(t, "Read", read)
		}
		wantDead(t, a)
		wantDead(t, b)
	}
}

// A connection may be ended before anything else was done with it.
func testEndedBeforeUse(t *testing.T, h Harness) {
	limits := transport.Limits{CloseTimeout: 200 * time.Millisecond}
	a, _ := h.pair(t, limits, limits)
	within(t, limits.CloseTimeout, "Close", func() { a.Close(transport.StatusNormalClosure, "") })
	_, err := a.Read(nil)
	wantLocal(t, "Read", err)
	wantDead(t, a)

	a, b := h.pair(t, limits, limits)
	a.Abort()
	_, err = b.Read(nil)
	wantLost(t, "Read", err)
	wantDead(t, b)
}
