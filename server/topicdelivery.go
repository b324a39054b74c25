package server

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/internal/logs"
	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
)

// What nodes send one another is a message of 3.0, so that it need not be encoded again
// for members that have subscribed: only its ref and its offset differ.
const (
	refAt    = 1
	offsetAt = refAt + 4
)

// publication returns what nodes send one another. The error wraps protocol.ErrMalformed.
func publication(meta protocol.Head, name string, p protocol.Payload) ([]byte, error) {
	return protocol.V3_0.Append(nil, protocol.Message{Kind: protocol.Publication, Ref: 1, Head: meta, Name: name, Payload: p})
}

// fan sends to many members from a few goroutines. Its methods other than flush are called
// with the topic's mu held, flush without.
type fan struct {
	out  outbox.Fanout
	slow []*Conn // to be closed
	old  bool    // it is about publications that were missed, and come all at once: no member is slow for that
}

// cut closes the connection of a member, which gets nothing more: there would be a hole in
// it. The caller holds the topic's mu.
func (f *fan) cut(m *member) {
	m.cut = true
	f.slow = append(f.slow, m.conn)
}

func (f *fan) flush() {
	f.out.Flush()
	for _, c := range f.slow {
		c.tooSlow()
	}
}

// arrival is a delivery with its key.
type arrival struct {
	engine.Delivery
	key *string // by TopicOptions.Key; nil: it was not asked, or the publication is malformed
}

// arrive calls TopicOptions.Key if it may be needed. The caller does not hold mu.
func (e *topic) arrive(d engine.Delivery) arrival {
	a := arrival{Delivery: d}
	if e.opts.Overflow == LatestPerKey && e.opts.Key != nil {
		if m, err := protocol.V3_0.Parse(d.Data); err == nil && m.Kind == protocol.Publication {
			key := e.keyOf(m)
			a.key = &key
		}
	}
	return a
}

// keyOf calls TopicOptions.Key. The goroutine that delivers is the engine's, and does not end
// with it.
func (e *topic) keyOf(m protocol.Message) string {
	k := &keyCall{topic: e, m: m, key: m.Name}
	tasks.RunApart(k)
	return k.key
}

// keyCall is a call of TopicOptions.Key.
type keyCall struct {
	topic *topic
	m     protocol.Message
	key   string
}

func (k *keyCall) Run() { k.key = k.topic.opts.Key(k.m.Name, k.m.Payload) }

func (k *keyCall) Panicked(value any, stack []byte) {
	logPanic(&k.topic.topics.server.log, "TopicOptions.Key", value, stack, "topic", logs.Clean(k.topic.name))
}

// encoder encodes a publication once for each version, and once for each ref.
type encoder struct {
	data   []byte
	at     engine.Position
	key    *string          // see arrival; nil too if the publication is one of the ring
	m      protocol.Message // parsed from data before the first use
	parsed bool
	last   encoderKey
	msg    []byte                // of last; nil: its version has none
	by     map[encoderKey][]byte // of those before last; nil: none
	used   bool                  // there is a last
}

type encoderKey struct {
	version protocol.Version
	ref     uint32
}

// message returns data as a message, whose payload aliases it.
func (e *encoder) message() protocol.Message {
	if !e.parsed {
		e.parsed = true
		e.m, _ = protocol.V3_0.Parse(e.data) // a message that is malformed cannot be encoded below
	}
	return e.m
}

// of returns the encoded message for a member, nil if its version has none. Most often all
// members have the same version and ref: then there is no map.
func (e *encoder) of(m *member) []byte {
	k := encoderKey{m.conn.info.Version, m.ref}
	if e.used && k == e.last {
		return e.msg
	}
	if e.used {
		if e.by == nil {
			e.by = make(map[encoderKey][]byte)
		}
		e.by[e.last] = e.msg
	}
	msg, ok := e.by[k]
	if !ok {
		msg = e.encode(k)
	}
	e.last, e.msg, e.used = k, msg, true
	return msg
}

func (e *encoder) encode(k encoderKey) []byte {
	if k.ref != 0 {
		msg := slices.Clone(e.data)
		binary.LittleEndian.PutUint32(msg[refAt:], k.ref)
		binary.LittleEndian.PutUint64(msg[offsetAt:], e.at.Offset)
		return msg
	}
	msg, err := k.version.Append(nil, asSignal(e.message()))
	if err != nil { // the version does not allow the name, or the payload
		return nil
	}
	return msg
}

// asSignal returns a publication as members that did not subscribe get it.
func asSignal(m protocol.Message) protocol.Message {
	return protocol.Message{Kind: protocol.Signal, Head: m.Head, Name: m.Name, Payload: m.Payload}
}

// valid reports whether data of another node is a publication.
func valid(data []byte) bool {
	m, err := protocol.V3_0.Parse(data)
	return err == nil && m.Kind == protocol.Publication
}

// send sends a publication to all live members. The caller holds mu.
func (e *topic) send(f *fan, d arrival) {
	if len(e.members) == 0 || !valid(d.Data) {
		return
	}
	enc := encoder{data: d.Data, at: d.At, key: d.key}
	for _, m := range e.members {
		e.sendTo(f, m, &enc)
	}
}

func (e *topic) sendTo(f *fan, m *member, enc *encoder) {
	if m.has(enc.at) {
		return
	}
	msg := enc.of(m)
	switch {
	case msg == nil || m.cut:
		e.topics.dropped.Add(1)
	case m.lag != nil:
		m.lag.push(e, enc)
	default:
		limit := e.opts.Overflow.limit()
		if f.old {
			limit = math.MaxInt
		}
		switch err := m.conn.link.TrySendBelow(&f.out, msg, limit); {
		case err == nil:
		case !errors.Is(err, outbox.ErrFull): // it has ended, or takes no message of that length
			if m.ref != 0 && errors.Is(err, protocol.ErrTooBig) {
				e.miss(f, m, 1, enc.at)
			}
			e.topics.dropped.Add(1)
		case e.opts.Overflow == Disconnect:
			e.topics.dropped.Add(1)
			f.cut(m)
		default:
			m.fallBehind(enc, len(msg))
		}
	}
}

// sendGap tells the live members that publications are lost, nobody knows how many.
func (e *topic) sendGap(f *fan, to engine.Position) {
	for _, m := range e.members {
		if m.ref == 0 || m.has(to) {
			continue // it knows nothing of gaps, or has what is lost
		}
		if m.lag != nil {
			m.lag.jump(to)
			continue
		}
		e.miss(f, m, 0, to)
	}
}

// miss tells a live member that subscribed of a gap.
func (e *topic) miss(f *fan, m *member, n uint64, to engine.Position) {
	switch full := e.lose(f, m, n, to); {
	case !full:
	case e.opts.Overflow == Disconnect: // it must not miss that
		f.cut(m)
	default:
		m.missBehind(n, to)
	}
}

// lose tells a member of a gap, and reports whether there is no room for that.
func (e *topic) lose(f *fan, m *member, n uint64, to engine.Position) (full bool) {
	msg, err := protocol.V3_0.Append(nil, m.gap(n, to))
	if err == nil {
		err = m.conn.link.TrySendIn(&f.out, msg)
	}
	return errors.Is(err, outbox.ErrFull)
}

// gap returns the message that tells a member of a gap. To one that did not subscribe it is
// one of its signals.
func (m *member) gap(lost uint64, to engine.Position) protocol.Message {
	if m.ref == 0 {
		to = engine.Position{}
	}
	return gapMessage(m.ref, lost, to)
}

func gapMessage(ref uint32, lost uint64, to engine.Position) protocol.Message {
	return protocol.GapBody{Ref: ref, Lost: lost, Next: protocol.Position(to)}.Message()
}
