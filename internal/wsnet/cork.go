package wsnet

import (
	"errors"
	"net"
	"sync"
	"time"
)

// ErrCloseSent is the error of Flush for frames that came after a close frame
// and were therefore not sent.
var ErrCloseSent = errors.New("written after the close frame")

// MaxHeld is how many bytes an adapter lets a Conn hold back before it flushes.
// Large writes profit little from being larger still.
const MaxHeld = 128 << 10

// maxPongs is how many bytes of pongs are held on top of that. A peer may send
// pings without reading the answers. RFC 6455, section 5.5.3, does not ask for an
// answer to each.
const maxPongs = 4 << 10

// cork is the writing half of a Conn. Whoever wants bytes sent and finds nobody
// sending does it himself, and takes along what others added meanwhile;
// whoever finds somebody waits until the bytes are gone or sends the rest.
//
// Positions count the bytes that were ever given to Write.
type cork struct {
	c      *Conn
	mu     sync.Mutex
	change sync.Cond // of sending, spawned, sent and err

	frame   frame // where in the frames held ends
	held    *buffer
	spare   *buffer // for held, while the adapter's call goes on
	since   int64   // when the write of the oldest byte in held began
	start   int64   // when the adapter's present call began, zero without one
	end     uint64  // position behind the last byte given to Write
	sent    uint64  // position up to which all is sent
	closeAt uint64  // position behind the close frame, zero if there was none

	urgent  bool // held has a control frame
	sending bool // somebody is in a system call
	spawned bool // a goroutine was started to send
	closed  bool
	err     error // the first of stream
	spawn   func()
}

// buffer is a pointer's worth of a slice, as a pool wants it. An idle
// connection has none.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return new(buffer) }}

func (k *cork) init(c *Conn) {
	k.c = c
	k.change.L = &k.mu
	k.spawn = k.sendUrgent // once, so that starting it allocates nothing
}

// Write holds p back and never blocks. A control frame is sent at once, with
// what was held before it, by another goroutine: the caller may be the reader,
// who must not wait for a peer to read. What comes after a close frame is
// dropped, because peers that follow the standard would be offended by it.
func (k *cork) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.err != nil:
		return 0, k.err
	case k.closed:
		return 0, net.ErrClosed
	}
	k.hold(p)
	k.kick()
	return len(p), nil
}

// hold adds the frames in p, which need not begin or end at a frame's border.
func (k *cork) hold(p []byte) {
	for len(p) > 0 {
		if !k.frame.started() && (k.closeAt > 0 || k.tooManyPongs(p[0])) {
			k.end += uint64(len(p))
			return
		}
		k.open()
		n, ended := k.frame.advance(p)
		k.held.b = append(k.held.b, p[:n]...)
		k.end += uint64(n)
		p = p[n:]
		if ended && k.frame.opcode()&opControl != 0 {
			k.urgent = true
			if k.frame.opcode() == opClose {
				k.closeAt = k.end
			}
		}
	}
}

// open makes sure that something can be held.
func (k *cork) open() {
	if k.held != nil {
		return
	}
	if k.held, k.spare = k.spare, nil; k.held == nil {
		k.held = buffers.Get().(*buffer)
	}
	if k.since = k.start; k.since == 0 {
		k.since = k.c.now()
	}
}

// tooManyPongs reports whether the frame that begins with first is a pong to be
// left out. Libraries write a pong in one piece.
func (k *cork) tooManyPongs(first byte) bool {
	return first&0xF == opPong && k.held != nil && len(k.held.b) > MaxHeld+maxPongs
}

// kick has control frames sent by a goroutine if nobody is sending.
func (k *cork) kick() {
	if k.urgent && !k.sending && !k.spawned && k.err == nil {
		k.spawned = true
		go k.spawn()
	}
}

func (k *cork) sendUrgent() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.urgent && !k.sending && k.err == nil {
		k.send()
	}
	k.spawned = false
	k.change.Broadcast()
}

// Ping adds an empty ping frame. Only the adapter may call it, and only between
// messages of its own, as that is between frames.
func (k *cork) Ping() error {
	ping := serverPing
	if k.c.role == Client {
		ping = clientPing
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return k.err
	}
	k.hold(ping)
	return nil
}

// Begin says that the adapter is about to write, in a call that started at the
// given moment: the write timeout runs from then on. End says that it did, and
// returns the position to Flush. One call of the adapter writes at a time.
func (k *cork) Begin(start time.Time) {
	moment := int64(start.Sub(k.c.base)) + 1
	k.mu.Lock()
	k.start = moment
	k.mu.Unlock()
}

// End: see Begin.
func (k *cork) End() (position uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.start = 0
	if k.spare != nil {
		buffers.Put(k.spare)
		k.spare = nil
	}
	return k.end
}

// FlushHeld sends all that is held.
func (k *cork) FlushHeld() error {
	k.mu.Lock()
	position := k.end
	k.mu.Unlock()
	return k.Flush(position)
}

// Flush returns once everything up to the position is sent, or with the error
// that prevents it.
func (k *cork) Flush(position uint64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.sent < position && k.err == nil {
		if k.sending {
			k.change.Wait()
		} else {
			k.send()
		}
	}
	k.kick() // for control frames that came last
	switch {
	case k.err != nil:
		return k.err
	case k.closeAt > 0 && position > k.closeAt:
		return ErrCloseSent
	}
	return nil
}

// send sends what is held, in one system call if the kernel takes it. It is
// called with mu locked, unlocks it for the call, and only if nobody else sends.
func (k *cork) send() {
	held, since, end := k.held, k.since, k.end
	k.held, k.urgent, k.sending = nil, false, true
	var err error
	if held != nil {
		k.mu.Unlock()
		err = k.c.send(held.b, since)
		k.mu.Lock()
		held.b = held.b[:0]
		if k.start != 0 && k.spare == nil {
			k.spare = held
		} else {
			buffers.Put(held)
		}
	}
	if err == nil {
		k.sent = end
	} else if k.err == nil {
		k.err = err
	}
	k.sending = false
	k.change.Broadcast()
}

func (c *Conn) send(p []byte, since int64) error {
	c.setWriteDeadline(since)
	_, err := c.stream.Write(p)
	if c.tls {
		c.clearWriteDeadline()
	}
	return err
}

// drain refuses further writes, sends the rest and waits for everybody who is
// still sending.
func (k *cork) drain() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	for {
		switch {
		case k.sending || k.spawned:
			k.change.Wait()
		case k.held != nil && k.err == nil:
			k.send()
		default:
			return k.err
		}
	}
}

func (k *cork) abort() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		k.err = net.ErrClosed
	}
	k.change.Broadcast()
}

// Closing reports whether the library said or did something to end the
// connection: sent a close frame, or called Close.
func (k *cork) Closing() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.closed || k.closeAt > 0
}

// WriteErr returns the first error of the network, nil if there was none.
func (k *cork) WriteErr() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}
