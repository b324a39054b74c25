package transporttest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/webwire-go/webwire/transport"
)

// A FaultConn is one end of a connection of [Faults]. The methods Cut, CutAfter, Vanish, Delay,
// Slow and Corrupt cause faults; they may be called concurrently. [transport.As] finds the
// optional interfaces of the wrapped connection.
type FaultConn struct {
	faults *Faults
	inner  transport.Conn
	limits transport.Limits

	begin    sync.Once     // starts the pump
	ended    chan struct{} // closed when cause is set
	released chan struct{} // closed by Abort and Cut
	arrived  chan struct{} // receives if queue may have become longer
	taken    chan struct{} // receives if queue has become shorter

	mu          sync.Mutex
	rand        *rand.Rand
	cause       error // why this end is of no use any more
	isReleased  bool
	answering   bool // a ping
	lostIn      bool // what the peer sends vanishes
	lostOut     bool // what this end sends vanishes
	lostBytes   int  // that this end sent since
	cutting     bool // when cutIn bytes were sent
	cutIn       int
	delay, slow time.Duration
	damage      int       // messages still to be damaged
	queue       []arrival // from the pump to Read
	queued      int       // bytes in queue

	seen   atomic.Uint64 // arrivals that Read noticed
	silent atomic.Bool   // the peer may be silent
}

// arrival is what the pump read.
type arrival struct {
	kind byte
	msg  []byte
	err  error
	due  time.Time // not to be seen earlier
}

// The inner connection carries a message of one of these bytes for each that the
// outer one sends, followed by the message if it is one.
const (
	isMessage = iota
	isPing
	isPong
	isCut // the last one
)

var kinds = [][]byte{{isMessage}, {isPing}, {isPong}, {isCut}}

// network is how many bytes a network that is gone takes until a Write waits, and how
// many are under way at once to an end with a delay.
const network = 256 << 10

var (
	errCut     = fmt.Errorf("transporttest: connection cut: %w", syscall.ECONNRESET)
	errSilence = fmt.Errorf("transporttest: read: %w", os.ErrDeadlineExceeded)
	errStuck   = fmt.Errorf("transporttest: write: %w", os.ErrDeadlineExceeded)
)

// Cut drops the connection at both ends, without a close. Messages on their way are lost.
func (c *FaultConn) Cut() {
	c.end(errCut)
	c.release()
	_ = c.inner.Abort() // nothing can be done about an error
}

// CutAfter cuts the connection once this end has sent n bytes more, counting those of messages
// only. The message that contains the last of these bytes is lost; the peer gets the messages
// before it, and then the error of a connection that was cut. Zero: with the next message.
func (c *FaultConn) CutAfter(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cutting, c.cutIn = true, n
}

// Vanish makes everything that arrives from the peer (in), or everything this end sends (out),
// get lost from now on, including pings and closes. Writes succeed until 256 KiB were lost;
// after that they fail with the write timeout.
func (c *FaultConn) Vanish(in, out bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lostIn = c.lostIn || in
	c.lostOut = c.lostOut || out
}

// Delay makes everything arrive later by d at this end. Up to 256 KiB are under way at
// once, so a delay does not limit the number of messages per second. Zero: no delay.
func (c *FaultConn) Delay(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delay = d
}

// Slow makes this end wait for d after each message before it reads the next. Zero: no wait.
func (c *FaultConn) Slow(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slow = d
}

// Corrupt damages the next n messages that arrive at this end: some bytes are changed, or the
// message is truncated.
func (c *FaultConn) Corrupt(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.damage += n
}

// pump reads until the inner connection ends, also if this end is over and the
// peer was not told.
func (c *FaultConn) pump() {
	defer c.faults.pumps.Done()
	defer c.faults.forget(c, true)
	for {
		a := c.next()
		c.mu.Lock()
		lost, slow := c.lostIn, c.slow
		a.due = time.Now().Add(c.delay)
		if c.damage > 0 && len(a.msg) > 0 {
			c.damage--
			a.msg = c.damaged(a.msg)
		}
		c.mu.Unlock()
		var closed *transport.CloseError
		switch {
		case lost:
		case a.err != nil && a.kind != isCut && !errors.As(a.err, &closed):
			c.end(a.err) // at once: what is on its way is lost
		default:
			c.offer(a)
		}
		if a.err != nil {
			return
		}
		c.wait(slow)
	}
}

// offer gives a to Read. It waits until Read has taken everything or, if there is a delay,
// until there is room for more, or until this end is over.
func (c *FaultConn) offer(a arrival) {
	c.mu.Lock()
	c.queue = append(c.queue, a)
	c.queued += len(a.msg)
	c.mu.Unlock()
	signal(c.arrived)
	for !c.hasRoom() {
		select {
		case <-c.taken:
		case <-c.ended:
			return
		}
	}
}

func (c *FaultConn) hasRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue) == 0 || c.delay > 0 && c.queued < network
}

// take returns the next arrival, if there is one.
func (c *FaultConn) take() (a arrival, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return a, false
	}
	a, c.queue = c.queue[0], c.queue[1:]
	c.queued -= len(a.msg)
	signal(c.taken)
	if len(c.queue) > 0 {
		signal(c.arrived)
	}
	return a, true
}

// signal makes a channel with one slot receive.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Buffered implements transport.Peeker. It does not depend on the inner connection, because
// Read waits for the pump.
func (c *FaultConn) Buffered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil || len(c.queue) == 0 {
		return false
	}
	a := &c.queue[0]
	return a.kind == isMessage && a.err == nil && !time.Now().Before(a.due)
}

// next reads what comes next.
func (c *FaultConn) next() (a arrival) {
	var kind []byte
	if kind, a.err = c.inner.Read(nil); a.err != nil {
		return a
	}
	switch a.kind = kind[0]; a.kind {
	case isMessage:
		a.msg, a.err = c.inner.Read(nil)
	case isCut:
		a.err = errCut
	}
	return a
}

// damaged returns msg with some bytes changed, or without its end.
func (c *FaultConn) damaged(msg []byte) []byte {
	if c.rand.IntN(3) == 0 {
		return msg[:c.rand.IntN(len(msg))]
	}
	for range 1 + c.rand.IntN(3) {
		msg[c.rand.IntN(len(msg))] ^= byte(1 + c.rand.IntN(255))
	}
	return msg
}

// wait waits, unless this end is over.
func (c *FaultConn) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ended:
	}
}

// start begins to use the inner connection.
func (c *FaultConn) start() {
	c.begin.Do(func() {
		c.faults.pumps.Add(1)
		go c.pump()
	})
}

// Read implements transport.Conn.
func (c *FaultConn) Read(buf []byte) ([]byte, error) {
	c.start()
	silence := time.NewTimer(c.silence())
	defer silence.Stop()
	for {
		if err := c.over(); err != nil {
			return nil, err
		}
		select {
		case <-c.ended:
			continue
		case <-silence.C:
			c.lose(errSilence)
			continue
		case <-c.arrived:
		}
		a, ok := c.take()
		if !ok {
			continue
		}
		c.wait(time.Until(a.due))
		switch {
		case a.kind == isCut:
			c.Cut()
		case a.err != nil:
			c.end(a.err)
		}
		if c.over() != nil { // what was on its way is lost
			continue
		}
		c.seen.Add(1)
		switch a.kind {
		case isMessage:
			return append(buf[:0], a.msg...), nil
		case isPing:
			c.answer()
		}
		silence.Reset(c.silence())
	}
}

// answer answers a ping. Pings that are not answered yet are one, and a Write that
// is stuck does not delay the Read.
func (c *FaultConn) answer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answering || c.cause != nil {
		return
	}
	c.answering = true
	c.faults.pumps.Go(func() {
		_ = c.send(kinds[isPong]) // its error is the next one of Read
		c.mu.Lock()
		defer c.mu.Unlock()
		c.answering = false
	})
}

// Write implements transport.Conn.
func (c *FaultConn) Write(msgs ...[]byte) error {
	both := make([][]byte, 0, 2*len(msgs))
	whole, cut := c.beforeCut(msgs)
	for _, msg := range msgs[:whole] {
		both = append(both, kinds[isMessage], msg)
	}
	if !cut {
		return c.send(both...)
	}
	if err := c.send(append(both, kinds[isCut])...); err != nil {
		return err
	}
	c.end(errCut)
	c.release()
	return &transport.PartialError{Sent: whole, Err: c.over()}
}

// beforeCut returns the number of the messages that are sent before the connection is cut, and
// whether it is.
func (c *FaultConn) beforeCut(msgs [][]byte) (whole int, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.cutting {
		return len(msgs), false
	}
	for i, msg := range msgs {
		if c.cutIn -= len(msg); c.cutIn <= 0 {
			return i, true
		}
	}
	return len(msgs), false
}

// Ping implements transport.Conn.
func (c *FaultConn) Ping() error { return c.send(kinds[isPing]) }

func (c *FaultConn) send(msgs ...[]byte) error {
	c.start()
	c.mu.Lock()
	err, lost := c.cause, c.lostOut
	if lost {
		for _, msg := range msgs {
			c.lostBytes += len(msg)
		}
	}
	stuck := c.lostBytes > network
	c.mu.Unlock()
	switch {
	case err != nil:
		return err
	case stuck:
		c.wait(c.limits.WriteTimeout)
		c.lose(errStuck)
		return c.over()
	case lost:
		return nil
	}
	if err := c.inner.Write(msgs...); err != nil {
		// How far it came concerns this Write only, which wrote two for each message.
		var partial *transport.PartialError
		if !errors.As(err, &partial) {
			c.end(err)
			return c.over()
		}
		c.end(partial.Err)
		return &transport.PartialError{Sent: partial.Sent / 2, Err: c.over()}
	}
	return nil
}

// Close implements transport.Conn.
func (c *FaultConn) Close(status transport.Status, reason string) error {
	if !status.Sendable() {
		status = transport.StatusNormalClosure
	}
	reason = transport.CutReason(reason)
	if !c.end(&transport.CloseError{Status: status, Reason: reason, Local: true}) {
		return nil
	}
	if !c.hidden() {
		return c.inner.Close(status, reason)
	}
	// Nobody answers.
	timer := time.NewTimer(c.limits.CloseTimeout)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.released:
	}
	return nil
}

// Abort implements transport.Conn.
func (c *FaultConn) Abort() error {
	c.end(&transport.CloseError{Status: transport.StatusNoStatusReceived, Reason: "aborted", Local: true})
	c.release()
	if c.hidden() {
		return nil
	}
	return c.inner.Abort()
}

// Protocol implements transport.Conn.
func (c *FaultConn) Protocol() string { return c.inner.Protocol() }

// LocalAddr implements transport.Conn.
func (c *FaultConn) LocalAddr() net.Addr { return c.inner.LocalAddr() }

// RemoteAddr implements transport.Conn.
func (c *FaultConn) RemoteAddr() net.Addr { return c.inner.RemoteAddr() }

// Unwrap returns the inner connection, for transport.As.
func (c *FaultConn) Unwrap() transport.Conn { return c.inner }

// Arrivals implements transport.Monitor. What is lost does not count.
func (c *FaultConn) Arrivals() uint64 { return c.seen.Load() }

// AllowSilence implements transport.SilenceAllower.
func (c *FaultConn) AllowSilence() { c.silent.Store(true) }

// silence returns the limit on the silence of the peer.
func (c *FaultConn) silence() time.Duration {
	if c.silent.Load() {
		return transport.MaxTimeout
	}
	return c.limits.ReadTimeout
}

// lose gives up this end because of cause.
func (c *FaultConn) lose(cause error) {
	if c.end(cause) && !c.hidden() {
		_ = c.inner.Abort() // nothing can be done about an error
	}
}

// end makes this end useless, and reports whether it was of use before.
func (c *FaultConn) end(cause error) bool {
	c.mu.Lock()
	first := c.cause == nil
	if first {
		c.cause = cause
		close(c.ended)
	}
	c.mu.Unlock()
	if first {
		c.begin.Do(func() { c.faults.forget(c, true) }) // there is no pump
		c.faults.forget(c, false)
	}
	return first
}

func (c *FaultConn) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isReleased {
		c.isReleased = true
		close(c.released)
	}
}

// over returns why this end is of no use any more.
func (c *FaultConn) over() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// hidden reports whether the peer does not learn what becomes of this end.
func (c *FaultConn) hidden() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lostOut
}

var (
	_ transport.Conn           = (*FaultConn)(nil)
	_ transport.Peeker         = (*FaultConn)(nil)
	_ transport.Monitor        = (*FaultConn)(nil)
	_ transport.SilenceAllower = (*FaultConn)(nil)
)
