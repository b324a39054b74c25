package link

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// ErrSlept is why a connection ends over which the system slept. It is an
// os.ErrDeadlineExceeded, as other silence of a peer is.
var ErrSlept = fmt.Errorf("webwire: the system slept and the peer does not answer any more: %w", os.ErrDeadlineExceeded)

const (
	// sleptFor is how much more time must have passed on the wall than for the program
	// before the peer is asked whether it is still there.
	sleptFor = 5 * time.Second

	// answerTime is how long a peer that was asked may take to show that it is.
	answerTime = 5 * time.Second
)

// pulse finds out about a peer that is gone, and shows this side to be there, with one
// timer and no goroutine. When KeepAlive has passed since the last message arrived, or
// since the last one was sent, it pings: the answer extends the read timeout of the
// transport, and its absence ends the connection.
//
// If WakeCheck is set the timer also compares the wall clock with the monotonic one,
// which on most systems stands still while the system sleeps. After a sleep, or when
// somebody set the wall clock, a connection may be long dead, so the peer is asked and
// has answerTime to answer. Only a transport.Monitor can tell; others are left to the
// read timeout.
type pulse struct {
	mu      sync.Mutex
	timer   *time.Timer   // nil while not running
	slept   time.Duration // so far, by the wall clock
	pinged  time.Duration // when the last ping was due, see now
	pinging bool          // a ping is being written
	early   bool          // one is due now, see pingNow
	asked   bool          // whether it is still there, after a sleep
	beats   int32         // running
	arrived uint64        // when it was asked
	calm    chan struct{} // closed once no beat is running; nil if nobody waits for that

	heard atomic.Int64 // when something was read last, see now
	wrote atomic.Int64 // when the last write began
}

// wallClock is the time without the monotonic reading. Tests replace it.
var wallClock = func() time.Time { return time.Now().Round(0) }

func (l *Link) startPulse() {
	p := &l.pulse
	p.mu.Lock()
	defer p.mu.Unlock()
	began := now()
	p.heard.Store(int64(began))
	p.wrote.Store(int64(began))
	p.pinged = began
	p.slept = behind(began)
	p.timer = time.AfterFunc(l.limits.KeepAlive, l.beat)
}

// stopPulse waits for a ping in progress: its error is that of the socket that has ended, and
// not of the next one.
func (l *Link) stopPulse() {
	p := &l.pulse
	p.mu.Lock()
	p.timer.Stop()
	p.timer = nil
	p.asked, p.early = false, false
	var calm chan struct{}
	if p.beats > 0 {
		calm = make(chan struct{})
		p.calm = calm
	}
	p.mu.Unlock()
	if l.modern != nil {
		l.modern.acks.stop()
	}
	if calm != nil {
		<-calm
	}
}

func (l *Link) beat() {
	p := &l.pulse
	p.mu.Lock()
	if p.timer == nil {
		p.mu.Unlock()
		return
	}
	p.beats++
	defer p.beaten()
	do := p.look(l)
	ping := do.ping && !p.pinging
	p.pinging = p.pinging || ping
	p.timer.Reset(do.next)
	p.mu.Unlock()

	if do.end {
		l.endWritten(ErrSlept)
		return
	}
	if do.heartbeat {
		l.sendHeartbeat()
	}
	if !ping {
		return
	}
	err := l.out.Conn().Ping()
	p.mu.Lock()
	p.pinging = false
	p.mu.Unlock()
	if err != nil {
		l.endWritten(err)
	}
}

// beaten ends a beat.
func (p *pulse) beaten() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.beats--; p.beats == 0 && p.calm != nil {
		close(p.calm)
		p.calm = nil
	}
}

func (l *Link) sendHeartbeat() {
	if l.modern != nil {
		l.modern.acks.send(l)
		return
	}
	// If there is no room something better is about to be sent.
	_ = l.Send(outbox.DontWait, protocol.Message{Kind: protocol.Heartbeat})
}

// pingNow pings the peer, and does not wait for that.
func (l *Link) pingNow() {
	p := &l.pulse
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.early = true
		p.timer.Reset(0)
	}
}

// deeds is what a look at the pulse asks for.
type deeds struct {
	end, ping, heartbeat bool
	next                 time.Duration // until the next look
}

func (p *pulse) look(l *Link) (do deeds) {
	at := now()
	if l.limits.WakeCheck {
		if p.asked && l.arrivals() == p.arrived {
			return deeds{end: true}
		}
		p.asked = false
		behind := behind(at)
		if _, ok := transport.As[transport.Monitor](l.out.Conn()); ok && behind-p.slept > sleptFor {
			p.asked, p.arrived = true, l.arrivals()
		}
		p.slept = behind
	}
	heard := time.Duration(p.heard.Load())
	wrote := time.Duration(p.wrote.Load())
	due := max(min(heard, wrote), p.pinged) + l.limits.KeepAlive
	if do.ping = p.asked || p.early || at >= due; do.ping {
		p.early = false
		p.pinged = at
		due = at + l.limits.KeepAlive
		do.heartbeat = l.heartbeat && at >= wrote+l.limits.KeepAlive
	}
	if do.next = due - at; p.asked {
		do.next = min(do.next, answerTime)
	}
	return do
}

// arrivals counts what arrived from the peer, as far as the transport tells.
func (l *Link) arrivals() uint64 {
	if m, ok := transport.As[transport.Monitor](l.out.Conn()); ok {
		return m.Arrivals()
	}
	return l.received.Load()
}

// behind returns how much more time has passed on the wall since the epoch than for the
// program.
func behind(ran time.Duration) time.Duration {
	return wallClock().Sub(epoch.Round(0)) - ran
}
