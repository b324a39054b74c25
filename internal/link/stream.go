package link

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// Stream is the streamed reply to a request of 3.0, as the requester receives it. It is
// used by one goroutine.
type Stream struct {
	link   *Link
	ctx    context.Context
	call   *call // nil after the end
	number uint64
	in     *inflow
	final  *outcome // nil until it has arrived

	refused bool // the request was not sent
}

// Stream sends the request m, whose reply is to be streamed. It is used as Request is;
// ctx and timeout bound the whole reply. The caller calls Close in the end.
func (l *Link) Stream(ctx context.Context, m protocol.Message, timeout time.Duration) (*Stream, error) {
	if l.modern == nil {
		return nil, unsent(protocol.FailureUnsupported.Failure())
	}
	if err := ctx.Err(); err != nil {
		return nil, unsent(err)
	}
	s := &Stream{link: l, ctx: ctx, in: newInflow(int(l.modern.own.StreamCredit))}
	var err error
	if s.call, s.number, err = l.register(now(), timeout, nil, s.in); err != nil {
		return nil, unsent(err)
	}
	s.refused = l.begin(ctx, s.call, s.number, &m, timeout) != nil
	return s, nil
}

// Next waits for the next item, which is the caller's, within the context of the request.
// After the last one the error is io.EOF, or that of the request, see Link.Request. It is
// the same from then on.
func (s *Stream) Next() (protocol.Payload, error) {
	for {
		if err := s.ctx.Err(); s.final == nil && err != nil {
			s.giveUp(outcome{err: err, gaveUp: whyEnded(s.ctx)})
		}
		if p, limit, ok := s.in.take(); ok && (s.final == nil || s.final.gaveUp == notGivenUp) {
			if limit > 0 && s.final == nil {
				s.link.Urge(protocol.Message{Kind: protocol.Credit, ID: protocol.NewID(s.number), Number: limit})
			}
			return p, nil
		}
		if s.final != nil {
			return protocol.Payload{}, s.final.err
		}
		select {
		case <-s.in.more:
		case out := <-s.call.done:
			s.end(out)
		case <-s.ctx.Done():
		}
	}
}

// Reply returns the payload of the reply that ended the stream, after Next has returned
// io.EOF.
func (s *Stream) Reply() protocol.Payload {
	if s.final == nil {
		return protocol.Payload{}
	}
	return s.final.payload
}

// Close ends a stream of which nothing more is wanted.
func (s *Stream) Close() {
	if s.final == nil {
		s.giveUp(outcome{err: io.EOF, gaveUp: hadEnough})
	}
	s.in.drop()
}

// giveUp ends the request with an outcome, unless there is another one.
func (s *Stream) giveUp(out outcome) {
	if !s.link.giveUp(s.number, out.gaveUp) {
		out = <-s.call.done
	}
	s.end(out)
}

// end takes the outcome of the request.
func (s *Stream) end(out outcome) {
	if out.gaveUp != notGivenUp {
		out.err = s.link.withdraw(s.call, s.number, out)
	}
	switch {
	case s.refused:
		out.err = unsent(out.err)
	case out.err == nil:
		out.err = io.EOF
	}
	s.final = &out
	s.link.release(s.call)
	s.call = nil
}

// inflow holds the items of a streamed reply that the application has not taken. What
// they may take is what the sender was allowed to send.
type inflow struct {
	window uint64
	more   chan struct{} // full if items came since the last look

	mu       sync.Mutex
	items    []protocol.Payload // from first on
	first    int
	received uint64 // of the credit
	consumed uint64
	limit    uint64 // of received
	dropped  bool   // nobody takes them
}

func newInflow(window int) *inflow {
	return &inflow{window: uint64(window), limit: uint64(window), more: make(chan struct{}, 1)}
}

func cost(p protocol.Payload) uint64 { return uint64(len(p.Data)) + protocol.ItemOverhead }

// put adds a copy of an item, and reports whether the sender was allowed to send it.
func (f *inflow) put(p protocol.Payload) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.received >= f.limit {
		return false
	}
	f.received += cost(p)
	if f.dropped {
		return true
	}
	if f.first > 0 && len(f.items) == cap(f.items) { // it may never be empty
		n := copy(f.items, f.items[f.first:])
		clear(f.items[n:])
		f.items, f.first = f.items[:n], 0
	}
	p.Data = append([]byte(nil), p.Data...)
	f.items = append(f.items, p)
	select {
	case f.more <- struct{}{}:
	default:
	}
	return true
}

// take returns the next item. If limit is not zero the sender is to be told this new
// limit: half of what it may send was consumed.
func (f *inflow) take() (p protocol.Payload, limit uint64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first == len(f.items) {
		return p, 0, false
	}
	p = f.items[f.first]
	f.items[f.first] = protocol.Payload{}
	if f.first++; f.first == len(f.items) {
		f.items, f.first = f.items[:0], 0
	}
	f.consumed += cost(p)
	if next := f.consumed + f.window; next-f.limit >= (f.window+1)/2 {
		f.limit = next
		return p, next, true
	}
	return p, 0, true
}

// drop forgets the items, and those that will come.
func (f *inflow) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items, f.first, f.dropped = nil, 0, true
}

// receiveItem takes an item for the stream that it belongs to. It never waits. The error
// says how the peer broke the protocol.
func (l *Link) receiveItem(m *protocol.Message) error {
	number := m.ID.Uint64()
	l.mu.Lock()
	c := l.state.calls.find(number)
	var in *inflow
	if c != nil {
		in = c.in
	}
	l.mu.Unlock()
	switch {
	case c == nil: // it was given up, or there never was one
		l.Drop()
	case in == nil:
		return errNoStream
	case !in.put(m.Payload):
		return errOverrun
	}
	return nil
}
