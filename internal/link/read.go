package link

import "time"

// The reader of a connection is one goroutine at a time, and has one duty: that what
// arrives is read. At first it is the goroutine of Run. It may do other things in
// between that do not take long, and tells the Watch before. If it is not back in time
// another goroutine becomes the reader.

// read makes the caller the reader, until the connection ends or another goroutine is
// the reader.
func (l *Link) read(own bool) {
	l.desk = desk{own: own}
	var buf []byte
	buffered := false
	for {
		if l.full.Load() {
			l.awaitRoom()
		}
		b, err := l.conf.Conn.Read(buf)
		if err != nil {
			l.endRead(err)
			l.reading.Done()
			return
		}
		if !buffered {
			l.heard.Store(int64(time.Since(l.epoch)))
		}
		// While more is here the outbox waits for what this reader's tasks send: then
		// the answers leave in one batch.
		buffered = l.peeker != nil && l.peeker.Buffered()
		more := own && buffered
		if more && l.desk.held == 0 {
			l.out.hold()
		}
		l.received.Add(1)
		l.receivedBytes.Add(uint64(len(b)))
		m, err := l.conf.Version.Parse(b)
		switch {
		case m.Kind.IsReply() && l.settle(m, err):
		case err != nil:
			l.role.Malformed(m, err)
		default:
			l.role.Receive(m)
		}
		let := false
		if more && l.desk.held < maxHeldFor {
			l.desk.held++
		} else if l.desk.held > 0 {
			l.desk.held = 0
			let = true
		}
		if !l.clear(let, more) {
			return
		}
		buf = reuse(b)
	}
}

// maxHeldFor is for how many messages the outbox is held back at most: so many share a
// write well enough, and the peer need not wait for the answers to all.
const maxHeldFor = 16

// keptRead is the size of the largest read buffer that a connection keeps while it
// waits for the next message. It has room for a payload of 64 KiB with its header,
// in a buffer that grew by doubling: to grow one anew for each such message, which
// it did when this was 64 KiB, takes two to four times as long as all the rest.
const keptRead = 128 << 10

func reuse(b []byte) []byte {
	if cap(b) > keptRead {
		return nil
	}
	return b[:0]
}

// desk is what the reader has before it. Nobody else touches it.
type desk struct {
	own     bool    // the goroutine is the link's own: it may run tasks
	move    bool    // tasks are quick: the reader should be such a goroutine
	ordered bool    // task is one of Order
	held    int     // messages since the outbox holds back what is added
	task    charged // to be run when Receive has returned; the zero value if there is none

	overdrafts int // by how many times the budget of the inbox may be exceeded, see awaitRoom
	starved    int // keep-alive intervals for which it waited in vain
}

// clear does what is on the desk, and ends the holding back if told to. While there is
// more to read another goroutine writes. It reports whether the caller is still the
// reader.
func (l *Link) clear(let, more bool) (still bool) {
	d := &l.desk
	if d.move {
		l.startReader()
		return false
	}
	if d.task.task == nil && !let {
		return true
	}
	t, ordered := d.task, d.ordered
	d.task = charged{}
	if t.task != nil {
		l.quick.runs(l.epoch)
	}
	turn := l.away()
	returned := false
	defer func() {
		if !returned && l.back(turn) { // the task called runtime.Goexit
			l.startReader()
		}
	}()
	switch {
	case t.task == nil:
	case ordered:
		l.runOrdered(t)
	default:
		l.runHere(t)
	}
	if let && l.out.let() {
		l.flush(!more)
	}
	returned = true
	return l.back(turn)
}

// away says that the reader is about to do something else. After it the desk is not
// the caller's, until back returns true.
func (l *Link) away() (turn uint64) {
	turn = l.turn.Add(1)
	if !l.watched.Load() {
		l.conf.Watch.add(l)
	}
	return turn
}

func isAway(turn uint64) bool { return turn%2 == 1 }

// back reports whether the caller is the reader again: it was not replaced.
func (l *Link) back(turn uint64) bool { return l.turn.CompareAndSwap(turn, turn+1) }

// replace makes another goroutine the reader if the present one is still away.
func (l *Link) replace(turn uint64) {
	if l.back(turn) {
		l.quick.tookTooLong()
		l.startReader()
	}
}

// startReader starts a goroutine that becomes the reader.
func (l *Link) startReader() {
	l.working.Add(1)
	go l.reader()
}

// reader is a reader of the link's own.
func (l *Link) reader() {
	defer l.working.Done()
	l.let() // the reader before may be away for long
	l.read(true)
}

// let ends the holding back without waiting for anything. The reader calls it before
// it waits.
func (l *Link) let() {
	if l.out.let() {
		l.flush(false)
	}
}
