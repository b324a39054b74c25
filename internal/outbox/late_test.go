package outbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// displacing is an outbox at the server's end, that of a connection that can be resumed.
type displacing struct {
	*box
	t     *testing.T
	wire  *wire
	total Total
	late  Total
	lost  []protocol.ID // what ItemLost was called with
}

func (d *displacing) ItemLost(id protocol.ID) { d.lost = append(d.lost, id) }

func newDisplacing(t *testing.T) *displacing {
	t.Helper()
	d := &displacing{t: t, wire: newWire(), total: Total{Limit: 1 << 40}, late: Total{Limit: 1 << 40}}
	d.box = newBox(d.wire, Config{Conn: d.wire, Version: protocol.V3_0, Size: 4 << 20, Keeping: &Keeping{Displace: true, Total: &d.total, Late: &d.late}})
	d.owner = d
	t.Cleanup(func() {
		d.Fail(errTestOver)
		d.goroutines.Wait()
		if n, late := d.total.bytes.Load(), d.late.bytes.Load(); n != 0 || late != 0 {
			t.Errorf("%d and %d bytes are kept for ever", n, late)
		}
	})
	return d
}

func (d *displacing) add(m protocol.Message) {
	d.t.Helper()
	flush, err := d.Add(DontWait, &m, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	if flush {
		d.Write(MaxRounds)
		d.drain(d.t.Context())
	}
}

// overflow adds signals until nothing that was added before is kept.
func (d *displacing) overflow() (signals uint64) {
	d.t.Helper()
	for ; signals <= ringMessages; signals++ {
		d.add(signal("s", "x"))
	}
	return signals
}

// again resumes the outbox and returns what is sent again, as text.
func (d *displacing) again(received uint64) (plan Replay, msgs []string) {
	d.t.Helper()
	d.Suspend()
	w := newWire()
	flush, err := d.Resume(w, received, func(p Replay) []byte {
		plan = p
		msg, _ := protocol.V3_0.Append(nil, protocol.WelcomeBody{}.Message())
		return msg
	})
	if err != nil || !flush {
		d.t.Fatalf("Resume: %t, %v", flush, err)
	}
	d.Write(MaxRounds)
	d.drain(d.t.Context())
	for _, batch := range w.written() {
		for _, msg := range batch {
			m, err := protocol.V3_0.Parse([]byte(msg))
			if err != nil {
				d.t.Fatal(err)
			}
			switch m.Kind {
			case protocol.Welcome:
				continue
			case protocol.ReplyFailure:
				f, _ := m.Failure()
				msgs = append(msgs, fmt.Sprintf("%d: %v", m.ID.Uint64(), f))
			case protocol.Signal:
				msgs = append(msgs, "signal "+m.Name)
			default:
				msgs = append(msgs, fmt.Sprintf("%v %d: %.5s", m.Kind, m.ID.Uint64(), m.Payload.Text()))
			}
		}
	}
	return plan, msgs
}

func reply(id uint64, text string) protocol.Message {
	return protocol.Message{Kind: protocol.Reply, ID: protocol.NewID(id), Payload: protocol.Text(text)}
}

func item(id uint64, text string) protocol.Message {
	return protocol.Message{Kind: protocol.Item, ID: protocol.NewID(id), Payload: protocol.Text(text)}
}

func failure(id uint64, code protocol.FailureCode) protocol.Message {
	return code.Failure().Message(protocol.NewID(id))
}

// Signals and the like make room for one another; what answers or asks something is set
// aside, and comes first when the peer is back.
func TestDisplaced(t *testing.T) {
	d := newDisplacing(t)
	d.Suspend()
	presence, _ := protocol.V3_0.Append(nil, protocol.PresenceBody{Ref: 7, Op: protocol.PresenceEnter, Data: []byte(`{"id":"a"}`)}.Message())
	if err := d.TrySend(presence); err != nil {
		t.Fatal(err)
	}
	d.add(protocol.GapBody{Ref: 7}.Message())
	d.add(protocol.Message{Kind: protocol.Publication, Ref: 7, Number: 1, Name: "p", Payload: protocol.Text("x")})
	d.add(signal("s", "first"))
	d.add(reply(1, "r"))
	d.add(protocol.Message{Kind: protocol.ReplyError, ID: protocol.NewID(2), Name: "CODE", Payload: protocol.Text("no")})
	d.add(failure(3, protocol.FailureInternal))
	d.add(protocol.Message{Kind: protocol.Request, ID: protocol.NewID(4), Name: "n", Payload: protocol.Text("q")})
	d.add(protocol.Message{Kind: protocol.SessionClosed})
	n := d.overflow()
	plan, msgs := d.again(0)
	want := []string{"reply 1: r", "error reply 2: no", "3: " + fmt.Sprint(protocol.FailureInternal.Failure()), "request 4: q", "session closed 0: "}
	if got := strings.Join(msgs[:5], "|"); got != strings.Join(want, "|") || len(msgs) != 5+ringMessages {
		t.Errorf("%d messages, first\n%q, want\n%q", len(msgs), got, want)
	}
	if want := (Replay{From: 9 + n - ringMessages + 1, Lost: 4 + n - ringMessages, Late: 5}); plan != want {
		t.Errorf("the plan is %+v, want %+v", plan, want)
	}
	// Once the peer has received what follows, they are forgotten.
	if !d.Acknowledged(plan.From - 1) {
		t.Error("the acknowledgement is refused")
	}
	if plan, msgs := d.again(plan.From - 1); plan.Late != 0 || plan.Lost != 0 || len(msgs) != ringMessages {
		t.Errorf("%+v, %d messages", plan, len(msgs))
	}
}

// Of replies that are too long together the peer learns that they are lost. Those that are
// too many are missing: then there is nothing to go on with, until the peer has them.
func TestTooMuchIsSetAside(t *testing.T) {
	t.Run("too long", func(t *testing.T) {
		d := newDisplacing(t)
		const replies = 9
		for i := range uint64(replies) {
			d.add(reply(i, strings.Repeat("r", lateBytes/4)))
		}
		d.overflow()
		plan, msgs := d.again(0)
		if plan.Late != replies {
			t.Fatalf("the plan is %+v", plan)
		}
		for i, msg := range msgs[:replies] {
			want := fmt.Sprintf("%d: %v", i, protocol.FailureReplyLost.Failure())
			if i >= replies-3 {
				want = fmt.Sprintf("reply %d: rrrrr", i)
			}
			if msg != want {
				t.Errorf("got %q, want %q", msg, want)
			}
		}
	})
	t.Run("requests that are too long", func(t *testing.T) {
		d := newDisplacing(t)
		for i := range uint64(5) {
			d.add(protocol.Message{Kind: protocol.Request, ID: protocol.NewID(i), Payload: protocol.Text(strings.Repeat("q", lateBytes/4))})
		}
		d.overflow()
		d.Suspend()
		if _, err := d.Resume(newWire(), 0, nil); !errors.Is(err, ErrCannotResume) {
			t.Errorf("Resume: %v", err)
		}
	})
	t.Run("too many", func(t *testing.T) {
		d := newDisplacing(t)
		const replies = lateMessages + 1
		for i := range uint64(replies) {
			d.add(reply(i, "r"))
		}
		d.overflow()
		d.add(reply(replies, "later"))
		missing := uint64(replies)
		d.Suspend()
		for _, received := range []uint64{0, missing - 1} {
			if _, err := d.Resume(newWire(), received, nil); !errors.Is(err, ErrCannotResume) {
				t.Errorf("Resume after %d: %v", received, err)
			}
		}
		plan, msgs := d.again(missing)
		if plan.Late != 0 || len(msgs) != ringMessages || msgs[ringMessages-1] != fmt.Sprintf("reply %d: later", replies) {
			t.Errorf("%+v, %d messages", plan, len(msgs))
		}
		// What is set aside after that counts anew.
		d.overflow()
		if plan, msgs := d.again(missing + 100); plan.Late != 1 || msgs[0] != fmt.Sprintf("reply %d: later", replies) {
			t.Errorf("%+v, %d messages", plan, len(msgs))
		}
	})
}

// After items that are lost the next message of the reply says so, wherever it is then.
func TestStreamLost(t *testing.T) {
	lost := func(id uint64) string {
		return fmt.Sprintf("%d: %v", id, protocol.FailureStreamLost.Failure())
	}
	for name, test := range map[string]struct {
		before, after func(d *displacing) // the overflow; before the peer is back
		want          string
		later         func(d *displacing) // after the peer is back
	}{
		"the end is set aside": {
			before: func(d *displacing) { d.add(item(1, "i")); d.add(reply(1, "end")) },
			want:   lost(1),
		},
		"the end is kept": {
			before: func(d *displacing) { d.add(item(1, "i")) },
			after:  func(d *displacing) { d.add(reply(1, "end")) },
			want:   lost(1),
		},
		"an item is kept": {
			before: func(d *displacing) { d.add(item(1, "i")) },
			after:  func(d *displacing) { d.add(item(1, "j")); d.add(reply(1, "end")) },
			want:   lost(1) + "|reply 1: end", // which the peer drops
		},
		"all is yet to come": {
			before: func(d *displacing) { d.add(item(1, "i")) },
			later:  func(d *displacing) { d.add(item(1, "j")); d.add(reply(1, "end")) },
			want:   lost(1) + "|reply 1: end",
		},
		"another stream": {
			before: func(d *displacing) { d.add(item(1, "i")); d.add(item(1, "j")) },
			after:  func(d *displacing) { d.add(reply(2, "whole")); d.add(reply(1, "end")) },
			want:   "reply 2: whole|" + lost(1),
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisplacing(t)
			test.before(d)
			d.overflow()
			if test.after != nil {
				test.after(d)
			}
			_, msgs := d.again(0)
			if test.later != nil {
				w := newWire()
				d.conf.Conn = w
				test.later(d)
				for _, batch := range w.written() {
					for _, msg := range batch {
						m, _ := protocol.V3_0.Parse([]byte(msg))
						if f, err := m.Failure(); err == nil {
							msgs = append(msgs, fmt.Sprintf("%d: %v", m.ID.Uint64(), f))
						} else {
							msgs = append(msgs, fmt.Sprintf("%v %d: %s", m.Kind, m.ID.Uint64(), m.Payload.Text()))
						}
					}
				}
			}
			var got []string
			for _, msg := range msgs {
				if msg != "signal s" {
					got = append(got, msg)
				}
			}
			if s := strings.Join(got, "|"); s != test.want {
				t.Errorf("got %q, want %q", s, test.want)
			}
			if len(d.lost) != 1 || d.lost[0] != protocol.NewID(1) {
				t.Errorf("ItemLost was called with %v", d.lost)
			}
		})
	}
}

// Items that the peer has are not lost, whether it said so before or says so now.
func TestItemsThatArrived(t *testing.T) {
	for _, early := range []bool{false, true} {
		d := newDisplacing(t)
		d.add(item(1, "i"))
		if early {
			d.overflow()
			d.Acknowledged(1)
		} else {
			d.overflow()
		}
		d.add(reply(1, "end"))
		if _, msgs := d.again(1); msgs[len(msgs)-1] != "reply 1: end" || len(d.lost) > 0 {
			t.Errorf("early: %t: %q, lost: %v", early, msgs[len(msgs)-1], d.lost)
		}
	}
}

// When all outboxes together keep too much, the one that adds something gives up its
// oldest.
func TestTotal(t *testing.T) {
	d := newDisplacing(t)
	d.total.Limit = 10 << 10
	other := newBox(newWire(), Config{Version: protocol.V3_0, Size: 1 << 20, Keeping: &Keeping{Displace: true, Total: &d.total}})
	other.conf.Conn = other.wire
	d.Suspend()
	for range 8 {
		d.add(signal("s", strings.Repeat("x", 1000)))
	}
	d.add(reply(1, "r"))
	if n := d.FirstKept(); n != 1 {
		t.Errorf("message %d is kept first", n)
	}
	for range 4 {
		if err := other.send(t.Context(), "s", strings.Repeat("x", 1000)); err != nil {
			t.Fatal(err)
		}
	}
	other.drain(t.Context())
	if n, m := d.FirstKept(), other.FirstKept(); n != 1 || m != 4 {
		t.Errorf("messages %d and %d are kept first", n, m)
	}
	if n := d.total.bytes.Load(); n > d.total.Limit {
		t.Errorf("%d bytes are kept", n)
	}
	other.Fail(errTestOver)
	if plan, _ := d.again(0); plan != (Replay{From: 1}) {
		t.Errorf("the plan is %+v", plan)
	}
}

// When all outboxes together have set too much aside, replies become failures.
func TestTotalOfWhatIsSetAside(t *testing.T) {
	d := newDisplacing(t)
	d.total.Limit, d.late.Limit = 64<<10, 20<<10
	d.Suspend()
	const replies = 100
	for i := range uint64(replies) {
		d.add(reply(i, strings.Repeat("r", 5000)))
		if n, late := d.total.bytes.Load(), d.late.bytes.Load(); n > d.total.Limit || late > d.late.Limit {
			t.Fatalf("%d bytes are kept, %d set aside", n, late)
		}
	}
	plan, msgs := d.again(0)
	if plan.Lost > 0 || len(msgs) != replies {
		t.Fatalf("%+v, %d messages", plan, len(msgs))
	}
	whole := 0
	for i, msg := range msgs {
		switch msg {
		case fmt.Sprintf("reply %d: rrrrr", i):
			whole++
		case fmt.Sprintf("%d: %v", i, protocol.FailureReplyLost.Failure()):
		default:
			t.Errorf("message %d is %q", i, msg)
		}
	}
	if whole < 12 || whole > 16 {
		t.Errorf("%d replies are whole", whole)
	}
	if !d.Acknowledged(replies) || d.total.bytes.Load() != 0 || d.late.bytes.Load() != 0 {
		t.Errorf("%d bytes are kept, %d set aside", d.total.bytes.Load(), d.late.bytes.Load())
	}
}

// What is left of the deadline of a request is what is sent again.
func TestDeadlinesShrink(t *testing.T) {
	w := newWire()
	b := newBox(w, Config{Conn: w, Version: protocol.V3_0, Size: 1 << 20, Keeping: &Keeping{}})
	clock := &ticking{box: b}
	b.owner = clock
	b.Suspend() // what was never written has all of its time
	for i := range 4 {
		m := protocol.Message{Kind: protocol.Request, ID: protocol.NewID(uint64(i)), Name: "n", Payload: protocol.Text("x")}
		if i > 0 {
			m.Head = m.Head.AppendDeadline(time.Duration(i) * 10 * time.Second)
		}
		if flush, err := b.Add(t.Context(), &m, nil); flush || err != nil {
			t.Fatal(flush, err)
		}
	}
	for _, step := range []struct {
		passed time.Duration
		want   string
	}{
		{0, "none 10s 20s 30s"},
		{3 * time.Second, "none 7s 17s 27s"},
		{9 * time.Second, "none 0s 8s 18s"},
		{30 * time.Second, "none 0s 0s 0s"},
	} {
		clock.now += step.passed
		b.Suspend()
		next := newWire()
		flush, err := b.Resume(next, 0, nil)
		if err != nil || !flush {
			t.Fatalf("Resume: %t, %v", flush, err)
		}
		b.Write(MaxRounds)
		var all []string
		for _, batch := range next.written() {
			for _, msg := range batch {
				m, err := protocol.V3_0.Parse([]byte(msg))
				if err != nil {
					t.Fatal(err)
				}
				text := "none"
				if left, ok := m.Head.Deadline(); ok {
					text = left.String()
				}
				all = append(all, text)
			}
		}
		if got := strings.Join(all, " "); got != step.want {
			t.Errorf("after %v: %q, want %q", clock.now, got, step.want)
		}
	}
	b.Fail(errTestOver)
}

// A batch of which everything was removed was not written: the request before it keeps its time.
func TestDeadlineBeforeWhatWasRemoved(t *testing.T) {
	w := newWire()
	b := newBox(w, Config{Conn: w, Version: protocol.V3_0, Size: 64 << 10, Keeping: &Keeping{}})
	clock := &ticking{box: b, now: time.Hour}
	b.owner = clock
	add := func(id uint64, size int) (at Mark) {
		t.Helper()
		m := protocol.Message{Kind: protocol.Request, ID: protocol.NewID(id), Name: "n", Payload: protocol.Text(strings.Repeat("x", size))}
		m.Head = m.Head.AppendDeadline(30 * time.Second)
		flush, err := b.Add(t.Context(), &m, &at)
		if err != nil {
			t.Fatal(err)
		}
		if flush {
			b.Write(MaxRounds)
		}
		return at
	}
	add(1, 1)
	b.Hold()
	at := add(2, minBatch) // a batch
	add(3, 1)              // and another one
	if !b.Remove(&at) {
		t.Fatal("it is not removed")
	}
	clock.now += time.Second
	if b.LetGo() {
		b.Write(MaxRounds)
	}
	if n := len(slices.Concat(w.written()...)); n != 2 {
		t.Fatalf("%d messages are written", n)
	}
	b.Suspend()
	next := newWire()
	if flush, err := b.Resume(next, 0, nil); !flush || err != nil {
		t.Fatal(flush, err)
	}
	b.Write(MaxRounds)
	for i, msg := range slices.Concat(next.written()...) {
		m, err := protocol.V3_0.Parse([]byte(msg))
		if err != nil {
			t.Fatal(err)
		}
		if left, _ := m.Head.Deadline(); left < 29*time.Second {
			t.Errorf("request %d: %v are left", i, left)
		}
	}
	b.Fail(errTestOver)
}

// So it is if the request was set aside, also for another outbox that goes on.
func TestDeadlinesOfDisplacedShrink(t *testing.T) {
	d := newDisplacing(t)
	clock := &ticking{box: d.box}
	d.owner = clock
	d.Suspend()
	m := protocol.Message{Kind: protocol.Request, ID: protocol.NewID(1), Name: "n", Payload: protocol.Text("x")}
	m.Head = m.Head.AppendDeadline(30 * time.Second)
	d.add(m)
	clock.now += 5 * time.Second
	d.overflow()
	left := func(msg []byte) time.Duration {
		t.Helper()
		m, err := protocol.V3_0.Parse(msg)
		if err != nil || m.Kind != protocol.Request {
			t.Fatalf("%v, %v", m.Kind, err)
		}
		left, _ := m.Head.Deadline()
		return left
	}
	clock.now += 5 * time.Second
	s, ok := d.State()
	if !ok || len(s.Late) != 1 || left(s.Late[0].Message) != 20*time.Second {
		t.Fatalf("%v, %+v", ok, s.Late)
	}
	other := newDisplacing(t)
	ahead := &ticking{box: other.box, now: time.Hour}
	other.owner = ahead
	other.Adopt(s)
	clock.now += 5 * time.Second
	ahead.now += 5 * time.Second
	for name, b := range map[string]*displacing{"the same": d, "another": other} {
		w := newWire()
		flush, err := b.Resume(w, 0, nil)
		if err != nil || !flush {
			t.Fatalf("%s: Resume: %t, %v", name, flush, err)
		}
		b.Write(MaxRounds)
		if got := left([]byte(w.written()[0][0])); got != 15*time.Second {
			t.Errorf("%s: %v are left", name, got)
		}
	}
}

// ticking is a box whose time the test sets.
type ticking struct {
	*box
	now time.Duration
}

func (c *ticking) Now() time.Duration { return c.now }

func (c *ticking) Writing() time.Duration { return c.now }

func TestItemsOfManyStreams(t *testing.T) {
	d := newDisplacing(t)
	const streams = 20_000
	for id := range uint64(streams) {
		d.add(item(id, "x"))
		d.add(reply(id, ""))
	}
	if n := len(d.kept.late.items); n > lateStreams {
		t.Errorf("the items of %d streams are remembered", n)
	}
	// Once the peer has caught up the connection can go on again.
	if !d.Acknowledged(2 * streams) {
		t.Fatal("not acknowledged")
	}
	d.add(item(streams, "y"))
	if plan, msgs := d.again(2 * streams); plan.Lost != 0 || len(msgs) != 1 {
		t.Errorf("%+v, %q", plan, msgs)
	}
}
