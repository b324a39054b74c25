package outbox

import (
	"bytes"
	"slices"

	"github.com/webwire-go/webwire/protocol"
)

// State is what an outbox that displaces keeps for its peer while it is suspended. Another
// outbox can go on with it.
type State struct {
	Acked uint64   // number of messages that the peer has acknowledged
	First uint64   // the number of the first of Kept
	Kept  [][]byte // all from First on that were written or count as written

	Late       []Late
	LateFailed uint64 // the number of the last message for which there was no room; zero: none

	Items  []Item        // of streamed replies, that are not kept
	Broken []protocol.ID // requests whose streamed reply is broken
}

// Late is a message that was set aside, with its number.
type Late struct {
	Number  uint64
	Message []byte
}

// Item is the number of the last item of the streamed reply to a request that is not kept.
type Item struct {
	ID     protocol.ID
	Number uint64
}

// Next returns the number of the message that is written first next.
func (s *State) Next() uint64 { return s.First + uint64(len(s.Kept)) }

// Continues reports whether a peer that has received a number of messages can go on.
func (s *State) Continues(received uint64) bool {
	return received >= s.Acked && received < s.Next() && s.LateFailed <= received
}

// State returns a copy of what the outbox keeps. It reports false unless the outbox is
// suspended and no write is in progress.
func (o *Outbox) State() (s State, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := o.kept
	if o.err != nil || k == nil || !k.away || !k.Displace || o.flushing && !o.promised {
		return s, false
	}
	o.settleAway()
	s = State{Acked: k.acked, First: k.first, LateFailed: k.late.failed}
	at := o.owner.Now()
	for _, b := range k.batches {
		b.shiftDeadlines(at)
		for _, msg := range k.live(b) {
			s.Kept = append(s.Kept, bytes.Clone(msg))
		}
	}
	k.late.shiftDeadlines(at)
	for _, late := range k.late.messages {
		s.Late = append(s.Late, Late{late.number, bytes.Clone(late.msg)})
	}
	for id, number := range k.late.items {
		s.Items = append(s.Items, Item{id, number})
	}
	for id := range k.late.broken {
		s.Broken = append(s.Broken, id)
	}
	return s, true
}

// Adopt makes an outbox that was just made go on where another one was. It is suspended.
// The messages of s are the outbox's.
func (o *Outbox) Adopt(s State) {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := o.keeper()
	k.away = true
	k.acked, k.first, k.end, k.next = s.Acked, s.First, s.Next(), s.Next()
	k.late.failed = s.LateFailed
	at := o.owner.Now()
	for _, late := range s.Late {
		k.late.messages = append(k.late.messages, numbered{late.Number, late.Message, at})
		k.late.count(len(late.Message))
	}
	for _, item := range s.Items {
		if k.late.items == nil {
			k.late.items = make(map[protocol.ID]uint64)
		}
		k.late.items[item.ID] = item.Number
	}
	for _, id := range s.Broken {
		if k.late.broken == nil {
			k.late.broken = make(map[protocol.ID]struct{})
		}
		k.late.broken[id] = struct{}{}
	}
	first := s.First
	for msgs := range slices.Chunk(s.Kept, maxMessages) {
		b := batches.Get().(*batch)
		b.shared, b.first, b.began, b.written = true, first, at, at
		for _, msg := range msgs {
			b.add(msg)
			k.bytes += addedCost + len(msg)
		}
		first += uint64(len(msgs))
		k.batches = append(k.batches, b)
		k.weigh(b)
	}
	k.Total.add(k.bytes)
}
