package interop

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// flowSteps are about requests of 3.0 under way: cancels, deadlines, items and credit.
var flowSteps = []step{
	{name: "cancel in every state", run: with3(func(r *run) error { return r.patiently(cancels) })},
	{name: "deadline of a request that waits", run: with3(func(r *run) error { return r.patiently(deadlineWaits) })},
	{name: "exact limits of streams", run: with3(exactCredit)},
	{name: "cancel of a stream", run: with3(cancelStream)},
	{name: "too many streams", run: with3(tooManyStreams)},
	{name: "requests that the client takes at once", run: with3(clientLimit)},
	{name: "cancel and deadline from the server", run: with3(serverGivesUp)},
}

// besides are the options of a server that handles a request while others run.
const besides = `{"concurrency":8}`

// oneByOne opens a socket to a server that handles one request at a time, and makes it
// busy; unit is much more than a request takes to begin.
func (r *run) oneByOne(head protocol.Head, unit time.Duration) (w *wire, busy protocol.ID, err error) {
	addr, err := r.spawn(`{"concurrency":1}`)
	if err != nil {
		return nil, busy, err
	}
	if w, err = r.wire(addr, someHello()); err != nil {
		return nil, busy, err
	}
	busy, err = w.request("wait", "x", head)
	if err == nil {
		err = pause(r.ctx, unit/5) // it has begun
	}
	return w, busy, err
}

// cancels a request that waits, one that runs, and one that may just begin. Each has one
// answer.
func cancels(r *run, unit time.Duration) error {
	w, busy, err := r.oneByOne(nil, unit)
	if err != nil {
		return err
	}
	waiting, err := w.request("wait", "x", nil)
	if err != nil {
		return err
	}
	if err := w.send(protocol.CancelBody{ID: waiting}.Message()); err != nil {
		return err
	}
	if err := w.failure(waiting, protocol.FailureCancelled, protocol.ExecutedNo); err != nil {
		return fmt.Errorf("cancel of a request that waits: %w", err)
	}
	twice := protocol.CancelBody{ID: busy}.Message()
	if err := w.send(twice, twice); err != nil {
		return err
	}
	if err := w.failure(busy, protocol.FailureCancelled, protocol.ExecutedMaybe); err != nil {
		return fmt.Errorf("cancel of a request that runs: %w", err)
	}
	if err := w.expect("causes", "cancel"); err != nil {
		return err
	}
	for range 20 {
		at := w.id()
		err := w.send(
			protocol.Message{Kind: protocol.Request, ID: at, Name: "wait", Payload: protocol.Text("x")},
			protocol.CancelBody{ID: at}.Message())
		if err != nil {
			return err
		}
		if err := w.failure(at, protocol.FailureCancelled, protocol.ExecutedNo, protocol.ExecutedMaybe); err != nil {
			return fmt.Errorf("cancel right after its request: %w", err)
		}
	}
	return w.quiet() // no second answer
}

// deadlineWaits: the deadline passes while the request waits, and while it runs.
func deadlineWaits(r *run, unit time.Duration) error {
	w, busy, err := r.oneByOne(protocol.Head{}.AppendDeadline(unit/2), unit)
	if err != nil {
		return err
	}
	waiting, err := w.request("login", "{}", protocol.Head{}.AppendDeadline(unit/10))
	if err != nil {
		return err
	}
	want := map[protocol.ID]protocol.Executed{busy: protocol.ExecutedMaybe, waiting: protocol.ExecutedNo}
	for len(want) > 0 {
		m, err := w.receive()
		if err != nil {
			return err
		}
		f, err := m.Failure()
		if executed, ok := want[m.ID]; err != nil || !ok || f.Code != protocol.FailureDeadline || f.Executed != executed {
			return fmt.Errorf("%v of %x: %v, want failure 7 that says executed %d", m.Kind, m.ID, f, executed)
		}
		delete(want, m.ID)
	}
	return errors.Join(w.expect("causes", "deadline"), w.expect("session", "null")) // it was not executed
}

// items waits for n items of a stream and sees to it that no more come.
func (w *wire) items(id protocol.ID, n int) error {
	for i := range n {
		m, err := w.receive()
		if err != nil || m.Kind != protocol.Item || m.ID != id {
			return instead(m, err, fmt.Sprintf("item %d of %d", i+1, n))
		}
	}
	return w.quiet()
}

// exactCredit: an item is sent while those before it count less than the limit.
func exactCredit(r *run) error {
	const size, credit = 100, 1000
	const cost = size + protocol.ItemOverhead
	addr, err := r.spawn(besides)
	if err != nil {
		return err
	}
	hello := someHello()
	hello.StreamCredit = credit
	w, err := r.wire(addr, hello)
	if err != nil {
		return err
	}
	stream := protocol.Head{}.AppendStream()
	id, err := w.request("items", fmt.Sprint(100, size), stream)
	if err != nil {
		return err
	}
	const first = (credit + cost - 1) / cost // items below the first limit
	if err := w.items(id, first); err != nil {
		return fmt.Errorf("first limit: %w", err)
	}
	limit := func(n uint64) error { return w.send(protocol.Message{Kind: protocol.Credit, ID: id, Number: n}) }
	for _, test := range []struct {
		what   string
		limits []uint64
		items  int
	}{
		{"the same limit again", []uint64{credit, credit}, 0},
		{"a lower limit", []uint64{1, 0}, 0},
		{"as much as was sent", []uint64{first * cost}, 0},
		{"a byte more", []uint64{first*cost + 1}, 1},
		{"the same again, for two items", []uint64{(first+2)*cost + 1, (first+2)*cost + 1}, 2},
		{"credit that arrives late", []uint64{(first+4)*cost + 1, first * cost}, 2},
	} {
		for _, n := range test.limits {
			if err := limit(n); err != nil {
				return err
			}
		}
		if err := w.items(id, test.items); err != nil {
			return fmt.Errorf("%s: %w", test.what, err)
		}
	}
	if err := limit(1 << 52); err != nil {
		return err
	}
	for range 100 - first - 5 {
		if m, err := w.receive(); err != nil || m.Kind != protocol.Item {
			return instead(m, err, "an item")
		}
	}
	if _, err := w.reply(id); err != nil {
		return err
	}

	// An item of any size may be sent while nothing was.
	hello.StreamCredit = 1
	if w, err = r.wire(addr, hello); err != nil {
		return err
	}
	if id, err = w.request("items", "2 5000", stream); err != nil {
		return err
	}
	if err := w.items(id, 1); err != nil {
		return fmt.Errorf("a long item: %w", err)
	}
	hello.StreamCredit = 0
	if w, err = r.wire(addr, hello); err != nil {
		return err
	}
	if id, err = w.request("items", "1 1", stream); err != nil {
		return err
	}
	if err := w.items(id, 0); err != nil {
		return fmt.Errorf("no credit: %w", err)
	}
	return nil
}

// cancelStream cancels a stream that waits for credit.
func cancelStream(r *run) error {
	addr, err := r.spawn(besides)
	if err != nil {
		return err
	}
	hello := someHello()
	hello.StreamCredit = 1000
	w, err := r.wire(addr, hello)
	if err != nil {
		return err
	}
	id, err := w.request("items", "1000000 1000", protocol.Head{}.AppendStream())
	if err != nil {
		return err
	}
	if err := w.items(id, 1); err != nil {
		return err
	}
	if err := w.send(protocol.CancelBody{ID: id, Reason: protocol.CancelEnough}.Message()); err != nil {
		return err
	}
	if err := w.failure(id, protocol.FailureCancelled, protocol.ExecutedMaybe); err != nil {
		return err
	}
	// Credit for it arrives late.
	if err := w.send(protocol.Message{Kind: protocol.Credit, ID: id, Number: 1 << 40}); err != nil {
		return err
	}
	return w.quiet()
}

// tooManyStreams opens one more than an end takes.
func tooManyStreams(r *run) error {
	const most = 128
	addr, err := r.spawn(fmt.Sprintf(`{"concurrency":%d}`, 2*most))
	if err != nil {
		return err
	}
	hello := someHello()
	hello.StreamCredit = 1
	w, err := r.wire(addr, hello)
	if err != nil {
		return err
	}
	stream := protocol.Head{}.AppendStream()
	var open []protocol.ID
	for range most {
		id, err := w.request("items", "2 1", stream)
		if err != nil {
			return err
		}
		open = append(open, id)
	}
	for range most {
		if m, err := w.receive(); err != nil || m.Kind != protocol.Item {
			return instead(m, err, "an item")
		}
	}
	over, err := w.request("items", "2 1", stream)
	if err != nil {
		return err
	}
	if err := w.failure(over, protocol.FailureTooMany, protocol.ExecutedNo); err != nil {
		return err
	}
	if err := w.works(); err != nil { // other requests do not matter
		return err
	}
	if err := w.send(protocol.Message{Kind: protocol.Credit, ID: open[0], Number: 1000}); err != nil {
		return err
	}
	if m, err := w.receive(); err != nil || m.Kind != protocol.Item || m.ID != open[0] {
		return instead(m, err, "the second item")
	}
	if _, err := w.reply(open[0]); err != nil {
		return err
	}
	again, err := w.request("items", "2 1", stream)
	if err != nil {
		return err
	}
	return w.items(again, 1)
}

// clientLimit: the server does not send more requests than hello allows.
func clientLimit(r *run) error {
	addr, err := r.spawn(besides)
	if err != nil {
		return err
	}
	ask, err := protocol.JSON(describe("x", protocol.Text("x")))
	if err != nil {
		return err
	}
	for most := range 3 {
		hello := someHello()
		hello.Requests = most
		w, err := r.wire(addr, hello)
		if err != nil {
			return err
		}
		for range most + 1 {
			if _, err := w.request("ask", ask.Text(), nil); err != nil {
				return err
			}
		}
		var asked []protocol.ID
		refused := 0
		for range most + 1 {
			m, err := w.receive()
			switch {
			case err != nil:
				return err
			case m.Kind == protocol.Request && m.Name == "x":
				asked = append(asked, m.ID)
			case m.Kind == protocol.ReplyError && m.Name == codeAskTooMany:
				refused++
			default:
				return instead(m, nil, "a request of the server, or its refusal")
			}
		}
		if len(asked) != most || refused != 1 {
			return fmt.Errorf("a client that takes %d requests gets %d, and %d are refused", most, len(asked), refused)
		}
		for _, id := range asked {
			if err := w.send(protocol.Message{Kind: protocol.Reply, ID: id, Payload: protocol.Text("y")}); err != nil {
				return err
			}
			if m, err := w.receive(); err != nil || m.Kind != protocol.Reply || m.Payload.Text() != "y" {
				return instead(m, err, "the reply")
			}
		}
	}
	return nil
}

// serverGivesUp: the server cancels its request when the handler that made it is cancelled,
// and gives each a deadline.
func serverGivesUp(r *run) error {
	addr, err := r.spawn(besides)
	if err != nil {
		return err
	}
	w, err := r.wire(addr, someHello())
	if err != nil {
		return err
	}
	ask, err := protocol.JSON(describe("x", protocol.Text("x")))
	if err != nil {
		return err
	}
	id, err := w.request("ask", ask.Text(), nil)
	if err != nil {
		return err
	}
	asked, err := w.receive()
	if err != nil || asked.Kind != protocol.Request {
		return instead(asked, err, "a request")
	}
	if d, ok := asked.Head.Deadline(); !ok || d <= 0 || d > 5*time.Minute {
		return fmt.Errorf("the server's request has the deadline %v, %t", d, ok)
	}
	if err := w.send(protocol.CancelBody{ID: id}.Message()); err != nil {
		return err
	}
	var seen []string
	for range 2 {
		m, err := w.receive()
		if err != nil {
			return err
		}
		switch {
		case m.Kind == protocol.Cancel && m.ID == asked.ID:
			seen = append(seen, "cancel")
		case m.Kind == protocol.ReplyFailure && m.ID == id:
			seen = append(seen, "failure")
		}
	}
	if text := strings.Join(seen, " "); text != "cancel failure" && text != "failure cancel" {
		return fmt.Errorf("%q comes, want the cancel of the server's request and the failure of its own", text)
	}
	// The answer comes after the cancel: it is ignored.
	if err := w.send(protocol.FailureCancelled.Failure().Message(asked.ID)); err != nil {
		return err
	}
	return w.works()
}
