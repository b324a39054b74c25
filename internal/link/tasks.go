package link

// Go runs t concurrently with others, up to the Concurrency of the link, as soon
// as every task of Order that came before is over. If it returns false the link
// takes no tasks any more and t will not be run. Only Role's methods call it.
func (l *Link) Go(size int, t Task) bool {
	if !l.begin() {
		return false
	}
	if l.in.Idle() {
		select {
		case l.slots <- struct{}{}:
			l.spawn(t)
			return true
		default:
		}
	}
	return l.put(size, &start{link: l, task: t})
}

// Order runs t alone: after every task that came before was started, those of
// Order ended, and before any later task is started. It returns as Go does.
func (l *Link) Order(size int, t Task) bool {
	return l.begin() && l.put(size, &alone{link: l, task: t})
}

// put waits for room in the inbox: that is how a peer that sends faster than its
// messages are handled is slowed down.
func (l *Link) put(size int, t Task) bool {
	ok := l.in.Put(l.ctx.Done(), size, t)
	if !ok {
		l.finish()
	}
	return ok
}

func (l *Link) begin() (ok bool) {
	l.update(func(s *state) {
		if ok = s.phase == open; ok {
			s.tasks++
		}
	})
	return ok
}

func (l *Link) finish() { l.update(func(s *state) { s.tasks-- }) }

// spawn starts a task of Go, whose slot was taken.
func (l *Link) spawn(t Task) {
	l.working.Add(1)
	go l.work(t)
}

func (l *Link) work(t Task) {
	defer l.working.Done()
	defer l.finish()
	defer func() { <-l.slots }()
	Run(t)
}

// skip reports whether a task that waited in the inbox need not run any more:
// nobody is there for the reply, or this side dropped the connection.
func (l *Link) skip(wantsReply bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.cut || wantsReply && l.state.phase == closed
}

// start is a task of Go that waits in the inbox. Its turn is to be started.
type start struct {
	link *Link
	task Task
}

func (s *start) Run() {
	s.link.slots <- struct{}{} // a running task frees its slot, whatever becomes of the connection
	if s.link.skip(true) {
		<-s.link.slots
		s.link.finish()
		return
	}
	s.link.spawn(s.task)
}

func (s *start) Panicked(any, []byte) {} // Run does not panic

// alone is a task of Order.
type alone struct {
	link *Link
	task Task
}

func (a *alone) Run() {
	defer a.link.finish()
	if a.link.skip(false) {
		a.link.Drop()
		return
	}
	Run(a.task)
}

func (a *alone) Panicked(any, []byte) {} // run told the task

// Drop counts a message that is not handled.
func (l *Link) Drop() { l.dropped.Add(1) }
