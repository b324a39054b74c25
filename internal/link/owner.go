package link

import (
	"time"

	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/protocol"
)

// outboxOwner is a Link as the Owner of its outbox.
type outboxOwner Link

func (o *outboxOwner) Crowded() bool {
	l := (*Link)(o)
	return int(l.state.waiting.Load())+l.tasks.Count() > 1
}

func (o *outboxOwner) Writing() time.Duration {
	at := now()
	o.pulse.wrote.Store(int64(at))
	return at
}

func (o *outboxOwner) Now() time.Duration { return now() }

func (o *outboxOwner) Ack() []byte { return o.modern.ackDue() }

func (o *outboxOwner) ItemLost(id protocol.ID) { o.modern.loseStream(id) }

func (o *outboxOwner) Failed(err error) (away bool) { return (*Link)(o).endWritten(err) }

func (o *outboxOwner) Enter() bool { return (*Link)(o).enter() }

func (o *outboxOwner) Leave() { o.background.Done() }

// tasksOwner is a Link as the Owner of its tasks.
type tasksOwner Link

func (o *tasksOwner) Idle() {
	l := (*Link)(o)
	l.lock().idle = true
	l.unlock()
}

func (o *tasksOwner) Read() {
	l := (*Link)(o)
	l.out.Let() // the reader before may be away for long
	l.read(true)
}

func (o *tasksOwner) Release(patient bool) {
	l := (*Link)(o)
	switch {
	case !l.out.LetGo():
	case patient:
		l.out.Write(outbox.MaxRounds)
	default:
		l.out.Write(0)
	}
}

// enter makes Run wait for background.Done, unless the connection has ended.
func (l *Link) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state.closed {
		return false
	}
	l.background.Add(1)
	return true
}
