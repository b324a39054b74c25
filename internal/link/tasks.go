package link

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
	next := charged{t, l.charge(s, size)}
	free := idle && s.workers.held < l.conf.Concurrency
	switch {
	case !free:
	case here:
		s.workers.held++
		l.desk.task, l.desk.ordered = next, false
	default:
		l.hand(&s.workers, next)
	}
	l.unlock()
	if !free {
		l.in.Put(nil, 0, &start{link: l, task: next})
	}
	return true
}

// charged is a task with what it was charged.
type charged struct {
	task Task
	size int
}

// Order runs t alone: after every task that came before was started, those of
// Order ended, and before any later task is started. It returns as Go does.
func (l *Link) Order(size int, t Task) bool {
	s := l.lock()
	if s.phase != open {
		l.unlock()
		return false
	}
	s.tasks++
	next := charged{t, l.charge(s, size)}
	l.unlock()
	if l.runsHere() && l.in.Claim() {
		l.desk.task, l.desk.ordered = next, true
	} else {
		l.in.Put(nil, 0, &alone{link: l, task: next})
	}
	return true
}

// Drop counts a message that is not handled.
func (l *Link) Drop() { l.dropped.Add(1) }

// start is a task of Go that waits in the inbox. Its turn is to be handed to a
// worker, once one may take it.
type start struct {
	link *Link
	task charged
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
		s.finish(t.task.size)
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
	task charged
}

func (t *alone) Run() { t.link.runAlone(t.task) }

func (l *Link) runAlone(t charged) {
	defer func() {
		l.lock().finish(t.size)
		l.unlock()
	}()
	cut := l.lock().cut
	l.unlock()
	if cut {
		l.Drop()
		return
	}
	Run(t.task)
}

func (t *alone) Panicked(any, []byte) {} // the inner Run told the task
