package natsengine

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/nats-io/nats.go"
	"github.com/webwire-go/webwire/engine"
)

// batchBytes limits what a server sends in one answer: it disconnects clients for which
// much more waits.
const batchBytes = 8 << 20

// history is the log of a node: a stream for each class. A position is the time when
// the stream was created, and a sequence of it.
type history struct{ *node }

// log returns the stream of a topic, and its subject there.
func (h history) log(topic string) (*stream, string, error) {
	class := h.opts.Class(topic)
	s := h.logs[class]
	if s == nil {
		return nil, "", fmt.Errorf("natsengine: Options.Class returns %q, which is not in Options.Classes", class)
	}
	return s, h.subjects.log(class, topic), nil
}

// Append implements [engine.Log].
func (h history) Append(ctx context.Context, topic string, data []byte, id string) (engine.Position, error) {
	attached, err := h.readyFor(ctx, topic)
	if err != nil {
		return engine.Position{}, err
	}
	s, subject, err := h.log(topic)
	if err != nil {
		return engine.Position{}, err
	}
	m := &nats.Msg{Subject: subject, Data: data}
	if id != "" {
		// Ids are those of a stream.
		m.Header = nats.Header{"Nats-Msg-Id": {token(topic) + "." + id}}
	}
	a, err := h.store(ctx, attached, "append", m)
	if err != nil {
		return engine.Position{}, err
	}
	epoch, _ := s.known()
	return engine.Position{Epoch: epoch, Offset: a.Seq}, nil
}

// Read implements [engine.Log].
func (h history) Read(ctx context.Context, topic string, after engine.Position, max int) (engine.Page, error) {
	attached, err := h.readyFor(ctx, topic)
	if err != nil {
		return engine.Page{}, err
	}
	s, subject, err := h.log(topic)
	if err != nil {
		return engine.Page{}, err
	}
	r := reader{h, s, subject, attached}
	for range 3 {
		page, same, err := r.read(ctx, after, max1(max))
		if err != nil || same {
			return page, err
		}
	}
	return engine.Page{}, fmt.Errorf("%w: natsengine: read: the stream changes again and again", engine.ErrAway)
}

func max1(n int) int { return max(n, 1) }

var errChanged = errors.New("natsengine: the stream has changed meanwhile")

// reader reads the log of one topic.
type reader struct {
	history
	stream   *stream
	subject  string
	attached context.Context
}

// read returns a page. It is not same if the stream was recreated meanwhile, or what
// was read does not go together.
//
// The order of the requests matters: first the end of the log; then the entries, which
// must reach that end; then whether something behind the position could have been
// evicted until now.
func (r reader) read(ctx context.Context, after engine.Position, most int) (page engine.Page, same bool, err error) {
	const what = "read"
	before, err := r.state(ctx, r.attached, what, r.stream)
	if err != nil {
		return page, false, err
	}
	ends, now, err := r.ends(ctx, r.attached, what, r.stream, before.last, []string{r.subject})
	if err != nil {
		return page, false, err
	}
	foreign := after.Epoch != before.epoch || after.Offset > before.last
	from := after.Offset
	if foreign {
		from = 0
	}
	e, err := r.entries(ctx, from, most, ends[0])
	if err == errChanged {
		return page, false, nil
	}
	if err != nil {
		return page, false, err
	}
	state, err := r.state(ctx, r.attached, what, r.stream)
	if err != nil {
		return page, false, err
	}
	if state.epoch != before.epoch {
		return page, false, nil
	}
	page = engine.Page{Entries: e.list, More: e.left > 0, Now: engine.Position{Epoch: state.epoch, Offset: max(now, from)}}
	for i := range page.Entries {
		page.Entries[i].At.Epoch = state.epoch
	}
	if n := len(page.Entries); page.More {
		page.Now = page.Entries[n-1].At
	} else if n > 0 {
		page.Now.Offset = max(page.Now.Offset, page.Entries[n-1].At.Offset)
	}
	switch {
	case after.IsZero():
		page.Complete = true
	case foreign || e.hole:
	case e.joined || ends[0] > 0 && ends[0] <= from:
		// The oldest goes first: while something at or before the position is there,
		// so is everything behind it.
		page.Complete = true
	default:
		// Nothing behind the position was evicted by age or size if the stream begins
		// at or before it, and none by number if there are fewer than are kept.
		page.Complete = state.first <= from+1 && int64(len(e.list))+int64(e.left) < state.keep
	}
	return page, true, nil
}

// entries are those behind a position.
type entries struct {
	list   []engine.Entry
	left   uint64 // how many are behind these
	joined bool   // the entry at the position is still there
	hole   bool   // some before the first may be missing, whatever else is known
}

// entries reads from any replica and, if that has not got everything up to end yet,
// from the leader.
func (r reader) entries(ctx context.Context, after uint64, most int, end uint64) (e entries, err error) {
	if end <= after {
		return e, nil
	}
	// Beginning at the position, not behind it: see joined.
	b, err := r.direct(ctx, r.attached, "read", r.stream, most+1,
		nextBySubject{Seq: max(after, 1), Subject: r.subject, Batch: most + 1, Bytes: batchBytes})
	if err != nil {
		return e, err
	}
	found, left := b.messages, b.left
	early := len(found)
	for left == 0 && len(found) <= most {
		next := max(after, 1)
		if n := len(found); n > 0 {
			next = found[n-1].Seq + 1
		}
		if next > end {
			break
		}
		m, err := r.get(ctx, r.attached, "read", r.stream, nextBySubject{Seq: next, Subject: r.subject})
		if err != nil {
			return e, err
		}
		if m == nil {
			return e, errChanged // evicted meanwhile, or the answer of a leader of the past
		}
		found = append(found, *m)
	}
	if n := len(found); n > most && left == 0 && found[n-1].Seq < end {
		left = math.MaxInt32 // some
	}
	if 0 < early && early < len(found) {
		// Between what a late replica had and what the leader still has, some may have
		// been evicted.
		oldest, err := r.get(ctx, r.attached, "read", r.stream, nextBySubject{Seq: 1, Subject: r.subject})
		if err != nil {
			return e, err
		}
		if oldest == nil || oldest.Seq > found[early-1].Seq {
			found, e.hole = found[early:], true
		}
	}
	if len(found) > 0 && found[0].Seq == after {
		found, e.joined = found[1:], true
	}
	if len(found) > most {
		found, left = found[:most], left+uint64(len(found)-most)
	}
	for _, m := range found {
		e.list = append(e.list, engine.Entry{At: engine.Position{Offset: m.Seq}, Data: m.Data})
	}
	e.left = left
	return e, nil
}
