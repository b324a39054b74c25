package link

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// ErrSlept is why a connection ends over which the system slept.
var ErrSlept = errors.New("webwire: the system slept, the connection is not to be trusted")

// sleptFor is how much more time must have passed on the wall than for the program
// to say that the system slept. Clocks are set by less.
const sleptFor = 5 * time.Second

// pulse finds out about a peer that is gone, and shows this side to be there,
// without a goroutine: a timer looks after every KeepAlive whether anything
// arrived. If not it pings; the answer extends the read timeout of the transport,
// and its absence ends the connection.
//
// If WakeCheck is set the timer also compares the clock on the wall with the one
// that counts while the system runs, to notice that it slept: the connection may
// be long dead then, and nothing would tell before the read timeout.
type pulse struct {
	mu       sync.Mutex
	timer    *time.Timer // nil while not running
	every    time.Duration
	slept    time.Duration // so far, by the wall
	due      time.Duration // when to look for a sign of life, since Link.epoch
	received uint64        // at the last look
	handed   uint64        // likewise
}

// wallClock is the time without the monotonic reading. Tests replace it.
var wallClock = func() time.Time { return time.Now().Round(0) }

func (l *Link) startPulse() {
	p := &l.pulse
	p.mu.Lock()
	defer p.mu.Unlock()
	p.every = l.conf.KeepAlive
	if l.conf.WakeCheck > 0 {
		p.every = min(p.every, l.conf.WakeCheck)
	}
	ran := time.Since(l.epoch)
	p.slept = l.behind(ran)
	p.due = ran + l.conf.KeepAlive
	p.timer = time.AfterFunc(p.every, l.beat)
}

func (l *Link) stopPulse() {
	l.pulse.mu.Lock()
	defer l.pulse.mu.Unlock()
	l.pulse.timer.Stop()
	l.pulse.timer = nil
}

func (l *Link) beat() {
	p := &l.pulse
	p.mu.Lock()
	if p.timer == nil {
		p.mu.Unlock()
		return
	}
	l.background.Add(1) // before stopPulse, hence before Run waits
	defer l.background.Done()
	slept, silent, mute := p.look(l)
	p.timer.Reset(p.every) // not before, or the next time may be too early by a little
	p.mu.Unlock()

	if slept {
		l.end(ErrSlept)
		return
	}
	if mute && l.conf.Heartbeat {
		// If there is no room something better is about to be sent.
		_ = l.Send(dontWait, protocol.Message{Kind: protocol.Heartbeat})
	}
	if silent || mute {
		if err := l.conf.Conn.Ping(); err != nil {
			l.end(err)
		}
	}
}

// look returns whether the system slept, and if it is time to say so, whether the
// peer and this side have been silent.
func (p *pulse) look(l *Link) (slept, silent, mute bool) {
	ran := time.Since(l.epoch)
	behind := l.behind(ran)
	slept = l.conf.WakeCheck > 0 && behind-p.slept > sleptFor
	p.slept = behind
	if ran < p.due {
		return slept, false, false
	}
	p.due = ran + l.conf.KeepAlive
	received := l.received.Load()
	handed, _ := l.out.counts()
	silent, mute = received == p.received, handed == p.handed
	p.received, p.handed = received, handed
	return slept, silent, mute
}

// behind returns how much more time has passed on the wall since the epoch than for the
// program.
func (l *Link) behind(ran time.Duration) time.Duration {
	return wallClock().Sub(l.epoch.Round(0)) - ran
}

// dontWait is the context of who sends only if there is room.
var dontWait = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()
