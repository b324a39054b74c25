package outbox

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// line is a socket whose writes the test ends, after as many messages as it likes.
type line struct {
	transport.Conn
	done chan error
	over chan struct{}

	mu      sync.Mutex
	pending [][]byte // what the Write in progress has not given to the peer
	busy    bool
	most    int // bytes that one Write may have
	taken   int // messages of the Write in progress that the peer has
	t       *testing.T
}

func newLine(t *testing.T, most int) *line {
	return &line{done: make(chan error), over: make(chan struct{}), most: most, t: t}
}

func (l *line) Write(msgs ...[]byte) error {
	size := 0
	var before [][]byte
	for _, msg := range msgs {
		size += len(msg)
		before = append(before, bytes.Clone(msg))
	}
	if size >= l.most {
		l.t.Errorf("a write of %d messages, %d bytes", len(msgs), size)
	}
	l.mu.Lock()
	l.pending, l.busy, l.taken = msgs, true, 0
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.pending, l.busy = nil, false
		for i, msg := range msgs {
			if !bytes.Equal(msg, before[i]) {
				l.t.Errorf("%.20q became %.20q while it was written", before[i], msg)
			}
		}
	}()
	select {
	case err := <-l.done:
		return err
	case <-l.over:
		return net.ErrClosed
	}
}

// take gives the peer some of the messages that are being written, at most n.
func (l *line) take(n int, give func([]byte)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ; n > 0 && len(l.pending) > 0; n-- {
		give(l.pending[0])
		l.pending = l.pending[1:]
		l.taken++
	}
}

func (l *line) isBusy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.busy
}

// far is the peer of an outbox: it counts as section 11.10 of PROTOCOL.md says.
type far struct {
	received, then  uint64
	late, skip, got int
	lost            uint64
	accept          func(protocol.Message)
}

// goOn begins a socket on which a replay comes.
func (f *far) goOn(plan Replay) {
	f.late, f.then = plan.Late, plan.From-1
	f.skip = min(f.got, plan.Late)
	f.caughtUp(plan.Late)
}

func (f *far) caughtUp(late int) {
	if f.late == 0 {
		f.lost += f.then - f.received - uint64(late)
		f.received = f.then
		f.got, f.skip = 0, 0
	}
}

func (f *far) give(t *testing.T, late int, msg []byte) {
	m, err := protocol.V3_0.Parse(msg)
	if err != nil {
		t.Fatalf("%q: %v", msg, err)
	}
	switch {
	case !protocol.V3_0.Counted(m.Kind):
	case f.late > 0:
		if f.skip > 0 {
			f.skip--
		} else {
			f.got++
			f.accept(m)
		}
		f.late--
		f.caughtUp(late)
	default:
		f.received++
		f.accept(m)
	}
}

// added is a message that was added to the outbox of a schedule.
type added struct {
	kind     protocol.Kind
	id       uint64 // of the request
	item     int    // of the stream
	size     int
	at       Mark
	removed  bool
	accepted bool
}

// schedule is an outbox whose owner, socket and peer do what a sequence of random numbers
// says.
type schedule struct {
	*box
	t     *testing.T
	rand  *rand.Rand
	total Total
	late  Total
	line  *line // nil while it is away
	far   far
	plan  Replay
	all   []*added
	last  int         // the index of the message that was accepted last
	items map[int]int // the number of items added, by stream
	next  map[int]int // the item to be accepted next; -1: the stream is broken
	ended map[int]bool
}

// Failed makes the outbox go on without its socket.
func (s *schedule) Failed(error) (away bool) {
	s.Suspend()
	return true
}

const streams = 3

func runSchedule(t *testing.T, seed uint64, displace bool) {
	s := &schedule{t: t, rand: rand.New(rand.NewPCG(seed, 1)), last: -1, items: map[int]int{}, next: map[int]int{}, ended: map[int]bool{}}
	s.total.Limit, s.late.Limit = 1<<30, 1<<30
	s.line = newLine(t, maxBatch+(32<<10))
	s.box = newBox(newWire(), Config{Conn: s.line, Version: protocol.V3_0, Size: 400 << 10, Keeping: &Keeping{Displace: displace, Total: &s.total, Late: &s.late}})
	s.owner = s
	s.far.accept = s.accept
	for range 150 {
		s.step()
		synctest.Wait()
		if t.Failed() {
			t.Fatalf("seed %d, displace: %t", seed, displace)
		}
	}
	if seed%3 == 0 {
		s.end()
	} else {
		s.settle()
	}
	if t.Failed() {
		t.Fatalf("seed %d, displace: %t", seed, displace)
	}
}

// content is what the message with an index says, so that messages whose memory was used
// again are noticed.
func content(index, size int) string {
	return strconv.Itoa(index) + ":" + strings.Repeat(string(rune('a'+index%26)), size)
}

func (s *schedule) step() {
	switch n := s.rand.IntN(100); {
	case n < 45:
		for range 1 + s.rand.IntN(10) {
			s.add()
		}
	case n < 50:
		s.remove()
	case n < 52:
		s.held = true
	case n < 54:
		s.Let()
	case n < 60: // the peer acknowledges some of what it has
		if !s.Acknowledged(s.far.received - uint64(s.rand.IntN(int(s.far.received)+1))) {
			s.t.Error("an acknowledgement is refused")
		}
	case n < 65:
		m := protocol.Message{Kind: protocol.Ack, Number: 7}
		if flush, err := s.Urge(&m); err != nil {
			s.t.Error(err)
		} else if flush {
			s.Write(0)
		}
	case n < 85:
		s.write(false)
	case n < 93:
		s.cut()
	default:
		s.resume()
	}
}

func (s *schedule) add() {
	index := len(s.all)
	a := &added{kind: protocol.Signal, id: uint64(1000 + index), size: s.rand.IntN(100)}
	if s.rand.IntN(8) == 0 {
		a.size = s.rand.IntN(20 << 10)
	}
	m := protocol.Message{Kind: a.kind, Name: strconv.Itoa(index), Payload: protocol.Text(content(index, a.size))}
	switch n := s.rand.IntN(20); {
	case n == 0:
		a.size = 10
		a.kind = protocol.SessionCreated
		m = protocol.Message{Kind: a.kind, Payload: protocol.Text(content(index, a.size))}
	case n < 4:
		a.kind = protocol.Reply
		m = protocol.Message{Kind: a.kind, ID: protocol.NewID(a.id), Payload: protocol.Text(content(index, a.size))}
	case n < 10:
		stream := s.rand.IntN(streams)
		if s.ended[stream] {
			return
		}
		a.kind, a.id, a.item = protocol.Item, uint64(stream+1), s.items[stream]
		if s.rand.IntN(100) == 0 {
			a.kind = protocol.Reply
			s.ended[stream] = true
		}
		m = protocol.Message{Kind: a.kind, ID: protocol.NewID(a.id), Payload: protocol.Text(content(index, a.size))}
	}
	var err error
	flush := false
	if s.rand.IntN(4) == 0 && (a.kind == protocol.Signal || a.kind == protocol.Reply && a.id >= 1000) {
		msg, _ := protocol.V3_0.Append(nil, m)
		err = s.TrySend(msg)
	} else {
		flush, err = s.Add(DontWait, &m, &a.at)
	}
	if flush {
		s.Write(0)
	}
	if errors.Is(err, ErrFull) {
		if a.kind == protocol.Reply && a.id < 1000 {
			s.ended[int(a.id-1)] = false
		}
		return
	}
	if err != nil {
		s.t.Error(err)
	}
	if a.id < 1000 {
		s.items[int(a.id-1)]++
	}
	s.all = append(s.all, a)
}

// remove tries to take out one of the last messages.
func (s *schedule) remove() {
	if len(s.all) == 0 {
		return
	}
	a := s.all[len(s.all)-1-s.rand.IntN(min(len(s.all), 10))]
	if a.kind != protocol.Signal || a.at.IsZero() || !s.Remove(&a.at) {
		return
	}
	if a.accepted {
		s.t.Error("a message was removed that the peer has")
	}
	a.removed = true
}

// write gives the peer some of what is being written, or all.
func (s *schedule) write(all bool) {
	l := s.line
	if l == nil || !l.isBusy() {
		return
	}
	n := 1 << 20
	if !all && s.rand.IntN(3) == 0 {
		n = s.rand.IntN(20)
	}
	l.take(n, func(msg []byte) { s.far.give(s.t, s.plan.Late, msg) })
	if n == 1<<20 {
		l.done <- nil
	}
}

// cut ends the socket. The write in progress may fail before anybody notices, and tell how
// much it sent.
func (s *schedule) cut() {
	l := s.line
	if l == nil {
		return
	}
	s.line = nil
	switch busy := l.isBusy(); {
	case busy && s.rand.IntN(3) == 0:
		l.done <- errors.New("broken")
	case busy && s.rand.IntN(2) == 0:
		l.mu.Lock()
		sent := l.taken
		l.mu.Unlock()
		l.done <- &transport.PartialError{Sent: sent, Err: errors.New("broken")}
	default:
		s.Suspend()
		if s.rand.IntN(2) == 0 { // what was added before the write fails
			s.add()
		}
	}
	close(l.over)
	synctest.Wait()
}

func (s *schedule) resume() {
	if s.line != nil {
		return
	}
	if s.conf.Keeping.Displace && s.rand.IntN(3) == 0 {
		s.move()
	}
	l := newLine(s.t, maxBatch+(32<<10))
	flush, err := s.Resume(l, s.far.received, func(plan Replay) []byte {
		s.plan = plan
		msg, _ := protocol.V3_0.Append(nil, protocol.WelcomeBody{From: plan.From, Late: plan.Late}.Message())
		return msg
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if !flush {
		s.t.Fatal("the opening is not to be written")
	}
	s.line = l
	if lost := s.plan.From - 1 - s.far.received - uint64(s.plan.Late); lost != s.plan.Lost {
		s.t.Errorf("%d messages are lost, %d were told", lost, s.plan.Lost)
	}
	s.far.goOn(s.plan)
	s.Write(0)
}

// move makes another outbox go on.
func (s *schedule) move() {
	state, ok := s.State()
	if !ok || !state.Continues(s.far.received) {
		s.t.Fatalf("the outbox cannot be continued: %t", ok)
	}
	before := s.box
	s.box = newBox(newWire(), before.conf)
	s.owner = s
	s.Adopt(state)
	before.Fail(errTestOver)
	before.goroutines.Wait()
	for _, a := range s.all {
		a.at = Mark{}
	}
}

// accept checks a message that the peer takes.
func (s *schedule) accept(m protocol.Message) {
	index := -1
	switch m.Kind {
	case protocol.ReplyFailure:
		f, err := m.Failure()
		if err != nil || m.ID.Uint64() >= 1000 {
			s.t.Errorf("failure %v of %d, %v", f, m.ID.Uint64(), err)
			return
		}
		// There may be more than one: this stream goes on although it is broken.
		s.next[int(m.ID.Uint64()-1)] = -1
		// It takes the place of any of the messages of the stream.
		for i := s.last + 1; i < len(s.all); i++ {
			if s.all[i].id == m.ID.Uint64() {
				index = i
				break
			}
		}
		if index < 0 {
			s.t.Errorf("a failure of stream %d in no place", m.ID.Uint64())
			return
		}
	default:
		number, _, _ := bytes.Cut(m.Payload.Data, []byte(":"))
		index, _ = strconv.Atoi(string(number))
		if index >= len(s.all) {
			s.t.Fatalf("got %q", m.Payload.Data)
		}
		a := s.all[index]
		if m.Kind != a.kind || m.Payload.Text() != content(index, a.size) {
			s.t.Errorf("message %d was changed: %v, %.20q", index, m.Kind, m.Payload.Data)
		}
	}
	a := s.all[index]
	if index <= s.last || a.accepted || a.removed {
		s.t.Errorf("message %d after %d (accepted: %t, removed: %t)", index, s.last, a.accepted, a.removed)
	}
	s.last, a.accepted = index, true
	if !a.at.IsZero() && !s.WasHanded(&a.at) {
		s.t.Errorf("message %d was not handed", index)
	}
	if a.id < 1000 && m.Kind != protocol.ReplyFailure {
		stream := int(a.id - 1)
		if next := s.next[stream]; next >= 0 {
			if a.item != next {
				s.t.Errorf("stream %d: got %d, want %d", stream, a.item, next)
			}
			s.next[stream]++
		}
	}
}

// settle delivers everything, and checks what was lost.
func (s *schedule) settle() {
	s.resume()
	s.Let()
	for i := 0; ; i++ {
		synctest.Wait()
		if !s.line.isBusy() {
			break
		}
		if s.write(true); i > 1000 {
			s.t.Fatal("there is no end")
		}
	}
	lost, alive := 0, 0
	for index, a := range s.all {
		switch {
		case a.removed, a.accepted:
		case a.kind == protocol.Signal, a.kind == protocol.Item:
			lost++
		case a.id < 1000 && s.next[int(a.id-1)] < 0: // a failure came instead, and counts as an item
			lost++
		default:
			s.t.Errorf("message %d, %v, is lost", index, a.kind)
		}
		if !a.removed {
			alive++
		}
	}
	if uint64(lost) != s.far.lost {
		s.t.Errorf("%d messages are lost, %d were told", lost, s.far.lost)
	}
	if lost > 0 && !s.conf.Keeping.Displace {
		s.t.Errorf("%d messages are lost", lost)
	}
	if s.far.received != uint64(alive) {
		s.t.Errorf("the peer counts %d of %d", s.far.received, alive)
	}
	settled := s.Settled()
	if !s.Acknowledged(s.far.received) || s.Acknowledged(s.far.received+1) {
		s.t.Error("the ends disagree")
	}
	select {
	case <-settled:
	default:
		s.t.Error("something is not acknowledged")
	}
	if n := s.total.bytes.Load() + s.late.bytes.Load(); n != 0 || s.kept != nil && (s.kept.bytes != 0 || s.kept.late.bytes != 0 || len(s.kept.batches) > 1) {
		s.t.Errorf("%d bytes are kept: %+v", n, s.kept)
	}
	if s.bytes != 0 || s.FirstKept() != s.far.received+1 {
		s.t.Errorf("%d bytes wait, %d is kept", s.bytes, s.FirstKept())
	}
	s.Fail(errTestOver)
	s.goroutines.Wait()
}

// end makes the outbox fail whatever it does, and checks what it says of what it had.
func (s *schedule) end() {
	acked := uint64(0)
	if s.kept != nil {
		acked = s.kept.acked
	}
	s.Fail(errTestOver)
	want, number := 0, uint64(0)
	for index, a := range s.all {
		if a.removed {
			continue
		}
		if number++; number > acked && a.kind == protocol.Signal {
			want++
		}
		if a.accepted && s.Remove(&a.at) {
			s.t.Errorf("message %d counts as unsent", index)
		}
	}
	// Of what was displaced nothing is known.
	if n, _ := s.Unacknowledged(); n != want && (!s.conf.Keeping.Displace || n > want) {
		s.t.Errorf("%d signals are not acknowledged, want %d", n, want)
	}
	if n := s.total.bytes.Load() + s.late.bytes.Load(); n != 0 {
		s.t.Errorf("%d bytes are kept", n)
	}
	if s.line != nil {
		close(s.line.over)
	}
	s.goroutines.Wait()
	if n := s.total.bytes.Load() + s.late.bytes.Load(); n != 0 {
		s.t.Errorf("%d bytes are kept after the last write", n)
	}
}

// Whatever happens to its sockets, what an outbox sends arrives once and in order, or is
// told to be lost.
func TestSchedules(t *testing.T) {
	seeds := uint64(40)
	if os.Getenv("WEBWIRE_SOAK") != "" {
		seeds = 4000
	}
	for seed := range seeds {
		for _, displace := range []bool{false, true} {
			t.Run(fmt.Sprint(seed, displace), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { runSchedule(t, seed, displace) })
			})
		}
	}
}
