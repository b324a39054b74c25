package link

import "github.com/webwire-go/webwire/transport"

// The reader of a connection is one goroutine at a time, at first that of Run. Between
// two messages it may run a quick task, and write what that sends; if that takes long
// after all another goroutine becomes the reader, see internal/tasks/inline.go.

// read makes the caller the reader, until the connection ends or another goroutine is
// the reader.
func (l *Link) read(own bool) {
	l.tasks.BecomeReader(own)
	l.desk = desk{}
	conn := l.out.Conn()
	peeker, peeks := transport.As[transport.Peeker](conn)
	var buf []byte
	buffered := false
	together := 0 // messages since the time was taken
	for {
		if l.tasks.Full() {
			if l.awaitRoom(); l.IsAway() { // what has not been read is sent again, on another socket
				l.reading.Done()
				return
			}
			together = maxTogether
		}
		b, err := conn.Read(buf)
		if err != nil {
			if !l.loseSocket(err) {
				l.endRead(err)
			}
			l.reading.Done()
			return
		}
		if together++; !buffered || together > maxTogether {
			together = 0
			l.pulse.heard.Store(int64(now()))
		}
		// While more is here the outbox waits for what this reader's tasks send: then
		// the answers leave in one batch.
		buffered = peeks && peeker.Buffered()
		more := own && buffered
		if more && l.desk.held == 0 {
			l.out.Hold()
		}
		l.countReceived(len(b))
		m, err := l.out.Version().Parse(b)
		switch {
		case l.modern != nil && l.modern.receive(l, &m, len(b), err):
		case m.Kind.IsReply() && l.settle(m, err):
		case err != nil:
			l.role.Malformed(m, err)
			l.tolerance.slowDown()
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
		// While there is more to read another goroutine writes.
		if (let || l.tasks.HasWork()) && !l.tasks.Work(let, !more) {
			return
		}
		buf = reuse(b)
	}
}

// maxTogether is the number of messages that count as arrived at the time of the first,
// if each was there before the reader came for it. The deadlines of requests are measured
// from that time.
const maxTogether = 16

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

// desk is what the reader keeps from one message to the next. Only the reader uses it.
type desk struct {
	held       uint8 // messages since the outbox holds back what is added
	overdrafts uint8 // how many times the inbox's size its budget may be exceeded, see awaitRoom
	starved    uint8 // halves of keep-alive intervals for which it waited in vain
}
