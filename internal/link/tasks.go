package link

import "github.com/webwire-go/webwire/protocol"

// taskCost is about the memory, in bytes, of a task that waits, besides the name
// and the payload of its message. Without it messages of a byte, or of none, would
// fill the memory long before they fill an inbox.
const taskCost = 256

// Cost returns the size of the task that handles m, for the budget of an inbox.
func Cost(m protocol.Message) int { return taskCost + len(m.Name) + len(m.Payload.Data) }

// Go runs t concurrently with others, up to the Concurrency of the link, as soon
// as every task of Order that came before is over. If it returns false the link
// takes no tasks any more and t will not be run. Only Role's methods call it.
func (l *Link) Go(size int, t Task) bool {
	here, idle := l.runsHere(), l.in.Idle()
	s := l.lock()
	if s.phase != open {
		l.unlock()
		return false
	}
	s.tasks++
	free := idle && s.workers.held < l.conf.Concurrency
	switch {
	case !free:
	case here:
		s.workers.held++
		l.desk.task, l.desk.ordered = t, false
	default:
		l.hand(&s.workers, t)
	}
	l.unlock()
	return free || l.put(size, &start{link: l, task: t})
}

// Order runs t alone: after every task that came before was started, those of
// Order ended, and before any later task is started. It returns as Go does.
func (l *Link) Order(size int, t Task) bool {
	s := l.lock()
	taken := s.phase == open
	if taken {
		s.tasks++
	}
	l.unlock()
	if taken && l.runsHere() && l.in.Claim() {
		l.desk.task, l.desk.ordered = t, true
		return true
	}
	return taken && l.put(size, &alone{link: l, task: t})
}

// put waits for room in the inbox: that is how a peer that sends faster than its
// messages are handled is slowed down.
func (l *Link) put(size int, t Task) bool {
	if l.in.TryPut(size, t) {
		return true
	}
	l.let() // what is held may be what the tasks wait for
	ok := l.in.Put(l.ctx.Done(), size, t)
	if !ok {
		l.finish()
	}
	return ok
}

func (l *Link) finish() {
	l.lock().tasks--
	l.unlock()
}

// Drop counts a message that is not handled.
func (l *Link) Drop() { l.dropped.Add(1) }

// start is a task of Go that waits in the inbox. Its turn is to be handed to a
// worker, once one may take it.
type start struct {
	link *Link
	task Task
}

func (t *start) Run() {
	for {
		freed := t.hand()
		if freed == nil {
			return
		}
		<-freed // a task in work ends, whatever becomes of the connection
	}
}

// hand returns nil if nothing remains to be done, and else what to wait for.
func (t *start) hand() (freed <-chan struct{}) {
	l := t.link
	s := l.lock()
	defer l.unlock()
	switch {
	case s.phase == closed: // nobody is there for the reply
		s.tasks--
	case s.workers.held < l.conf.Concurrency:
		l.hand(&s.workers, t.task)
	default:
		return s.workers.awaitFree()
	}
	return nil
}

func (t *start) Panicked(any, []byte) {} // Run does not panic

// alone is a task of Order.
type alone struct {
	link *Link
	task Task
}

func (t *alone) Run() { t.link.runAlone(t.task) }

func (l *Link) runAlone(t Task) {
	defer l.finish()
	cut := l.lock().cut
	l.unlock()
	if cut {
		l.Drop()
		return
	}
	Run(t)
}

func (t *alone) Panicked(any, []byte) {} // the inner Run told the task
