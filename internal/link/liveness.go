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

// ErrSilent is why a connection ends whose reader was held up by a full inbox, and whose
// peer has not answered since.
var ErrSilent = fmt.Errorf("webwire: the inbox was full and the peer does not answer any more: %w", os.ErrDeadlineExceeded)

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
// After the reader was held up by a full inbox for half an interval or more, the read
// timeout of the transport begins when the reader reads on, which is late: what it reads
// then may have been there all the time. So the peer is asked as soon as all of that has
// been read, and has to answer until the third interval since the reader was held up is
// over, or for one and a half if that is longer.
//
// If WakeCheck is set the timer also compares the wall clock with the monotonic one,
// which on most systems stands still while the system sleeps. After a sleep, or when
// somebody set the wall clock, a connection may be long dead, so the peer is asked and
// has answerTime to answer. Only a transport.Monitor can tell whether a peer answers; others
// are left to the read timeout.
type pulse struct {
	mu      sync.Mutex
	timer   *time.Timer   // nil while not running
	slept   time.Duration // so far, by the wall clock
	pinged  time.Duration // when the last ping was due, see now
	pinging bool          // a ping is being written
	early   bool          // one is due now, see pingNow
	beats   int32         // running
	held    bool          // the reader is held up: an answer would not be read
	doubt   *doubt        // whether the peer is still there; nil: none
	calm    chan struct{} // closed once no beat is running; nil if nobody waits for that

	heard atomic.Int64 // when something was read last, see now
	wrote atomic.Int64 // when the last write began
}

// doubt is what a pulse knows about a peer that may be gone.
type doubt struct {
	why     error         // what the connection ends with if the peer does not answer
	askAt   time.Duration // when to ask
	until   time.Duration // the peer has to have answered
	asked   bool          // it was asked
	arrived uint64        // what had arrived then
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
	p.doubt, p.early, p.held = nil, false, false
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

	if do.end != nil {
		l.endWritten(do.end)
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

// heldUp records that the reader waits for room.
func (l *Link) heldUp() {
	p := &l.pulse
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = true
	if p.doubt != nil && p.doubt.asked {
		p.doubt = nil
	}
}

// resumed records that the reader reads on, which was held up since then.
func (l *Link) resumed(since time.Duration) {
	p := &l.pulse
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = false
	at, interval := now(), l.limits.KeepAlive
	if p.doubt == nil {
		if at-since < interval/2 || p.timer == nil || l.limits.Unanswered || l.monitor() == nil {
			return
		}
		p.doubt = &doubt{why: ErrSilent, until: since + 3*interval}
	}
	// In a tenth of an interval everything that was there will have been read.
	p.doubt.askAt = at + interval/10
	p.doubt.until = max(p.doubt.until, at+3*interval/2)
	if !p.early { // otherwise a look is due now
		p.timer.Reset(interval / 10)
	}
}

// deeds is what a look at the pulse asks for.
type deeds struct {
	end             error // not nil: why the connection ends
	ping, heartbeat bool
	next            time.Duration // until the next look
}

func (p *pulse) look(l *Link) (do deeds) {
	at := now()
	if l.limits.WakeCheck && !p.held {
		behind := behind(at)
		if behind-p.slept > sleptFor && l.monitor() != nil {
			p.doubt = &doubt{why: ErrSlept, askAt: at, until: at + answerTime}
		}
		p.slept = behind
	}
	asks := false
	if d := p.doubt; d != nil && !p.held {
		switch {
		case !d.asked && at >= d.askAt:
			asks, d.asked, d.arrived = true, true, l.monitor().Arrivals()
		case !d.asked:
		case l.monitor().Arrivals() != d.arrived:
			p.doubt = nil
		case at >= d.until:
			return deeds{end: d.why}
		}
	}
	heard := time.Duration(p.heard.Load())
	wrote := time.Duration(p.wrote.Load())
	due := max(min(heard, wrote), p.pinged) + l.limits.KeepAlive
	if do.ping = asks || p.early || at >= due; do.ping {
		p.early = false
		p.pinged = at
		due = at + l.limits.KeepAlive
		do.heartbeat = l.heartbeat && at >= wrote+l.limits.KeepAlive
	}
	do.next = due - at
	switch d := p.doubt; {
	case d == nil || p.held:
	case d.asked:
		do.next = min(do.next, d.until-at)
	default:
		do.next = min(do.next, d.askAt-at)
	}
	return do
}

// monitor returns what counts arrivals, nil if the transport does not.
func (l *Link) monitor() transport.Monitor {
	m, _ := transport.As[transport.Monitor](l.out.Conn())
	return m
}

// behind returns how much more time has passed on the wall since the epoch than for the
// program.
func behind(ran time.Duration) time.Duration {
	return wallClock().Sub(epoch.Round(0)) - ran
}
