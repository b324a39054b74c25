package natsengine

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/webwire-go/webwire/engine"
)

// batchBytes limits what is read in one batch.
const batchBytes = 8 << 20

// parallel limits the requests of one call of Tops.
const parallel = 32

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
	return engine.Position{Epoch: s.known().epoch, Offset: a.Seq}, nil
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
	return engine.Page{}, fmt.Errorf("%w: natsengine: read: the stream was recreated again and again", engine.ErrAway)
}

func max1(n int) int { return max(n, 1) }

// reader reads the log of one topic.
type reader struct {
	history
	stream   *stream
	subject  string
	attached context.Context
}

// read returns a page. It is not same if the stream was recreated meanwhile.
//
// The order of the requests matters: first the end of the log, as the leader knows
// it; then the entries, from any replica, which must reach that end; then whether
// something behind the position could have been evicted until now.
func (r reader) read(ctx context.Context, after engine.Position, most int) (page engine.Page, same bool, err error) {
	const what = "read"
	before := r.stream.known()
	end, err := r.get(ctx, r.attached, what, r.stream, lastBySubject{r.subject})
	if err != nil {
		return page, false, err
	}
	now := before.last
	if end != nil {
		now = max(now, end.Seq)
	}
	from := after.Offset
	foreign := after.Epoch != before.epoch || after.Offset > 1<<63
	if foreign {
		from = 0
	}
	entries, early, left, err := r.entries(ctx, from, most, end)
	if err != nil {
		return page, false, err
	}
	oldest, err := r.get(ctx, r.attached, what, r.stream, nextBySubject{Seq: 1, Subject: r.subject})
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
	if !foreign && after.Offset > state.last { // behind the end
		page, same, err = r.read(ctx, engine.Position{}, most)
		page.Complete = false
		return page, same, err
	}
	hole := false
	if early > 0 && (oldest == nil || oldest.Seq > entries[early-1].At.Offset) {
		// Between what a late replica had and what the leader still has, some may have
		// been evicted.
		entries, hole = entries[early:], true
	}
	for i := range entries {
		entries[i].At.Epoch = state.epoch
	}
	page = engine.Page{Entries: entries, More: left > 0, Now: engine.Position{Epoch: state.epoch, Offset: now}}
	switch {
	case page.More:
		page.Now = entries[len(entries)-1].At
	case len(entries) > 0:
		page.Now.Offset = max(page.Now.Offset, entries[len(entries)-1].At.Offset)
	case !foreign:
		page.Now.Offset = max(page.Now.Offset, after.Offset)
	}
	switch {
	case after.IsZero():
		page.Complete = true
	case foreign || hole:
	case oldest != nil && oldest.Seq <= after.Offset:
		// The oldest goes first: while something at or before the position is there,
		// so is everything behind it.
		page.Complete = true
	default:
		// Nothing behind the position was evicted by age or size if the stream begins
		// at or before it, and none by number if there are fewer than are kept.
		page.Complete = state.first <= after.Offset+1 && int64(len(entries))+int64(left) < state.keep
	}
	return page, true, nil
}

// entries reads from any replica and, if that has not got everything up to end yet,
// from the leader. Early is how many came before the first that the leader was asked
// for, or zero if it was not asked.
func (r reader) entries(ctx context.Context, from uint64, most int, end *stored) (entries []engine.Entry, early int, left uint64, err error) {
	if end == nil || end.Seq <= from {
		return nil, 0, 0, nil
	}
	entries, left, err = r.batch(ctx, r.attached, "read", r.stream,
		nextBySubject{Seq: from + 1, Subject: r.subject, Batch: most, Bytes: batchBytes})
	if err != nil || left > 0 {
		return entries, 0, left, err
	}
	had := len(entries)
	for {
		if len(entries) > 0 {
			from = entries[len(entries)-1].At.Offset
		}
		if from >= end.Seq {
			return entries, early, 0, nil
		}
		if len(entries) >= most {
			return entries, early, math.MaxInt32, nil // some
		}
		early = had
		m, err := r.get(ctx, r.attached, "read", r.stream, nextBySubject{Seq: from + 1, Subject: r.subject})
		if err != nil {
			return nil, 0, 0, err
		}
		if m == nil {
			return entries, early, 0, nil // evicted meanwhile
		}
		entries = append(entries, engine.Entry{At: engine.Position{Offset: m.Seq}, Data: m.Data})
	}
}

// Tops implements [engine.Log].
func (h history) Tops(ctx context.Context, topics []string) ([]engine.Top, error) {
	attached, err := h.readyFor(ctx, topics...)
	if err != nil {
		return nil, err
	}
	tops := make([]engine.Top, len(topics))
	byStream := make(map[*stream][]int)
	for i, topic := range topics {
		s, _, err := h.log(topic)
		if err != nil {
			return nil, err
		}
		byStream[s] = append(byStream[s], i)
	}
	for s, of := range byStream {
		same := false
		for try := 0; !same && try < 3; try++ {
			if same, err = h.topsOf(ctx, attached, s, topics, of, tops); err != nil {
				return nil, err
			}
		}
		if !same {
			return nil, fmt.Errorf("%w: natsengine: tops: the stream was recreated again and again", engine.ErrAway)
		}
	}
	return tops, nil
}

// topsOf fills in the tops of topics in one stream. It is not same if that was
// recreated meanwhile.
func (h history) topsOf(ctx, attached context.Context, s *stream, topics []string, of []int, tops []engine.Top) (same bool, err error) {
	before := s.known()
	var wg sync.WaitGroup
	errs := make([]error, min(parallel, len(of)))
	for w := range errs {
		wg.Go(func() {
			for i := w; i < len(of) && errs[w] == nil; i += len(errs) {
				topic := of[i]
				_, subject, _ := h.log(topics[topic])
				end, err := h.get(ctx, attached, "tops", s, lastBySubject{subject})
				if err != nil {
					errs[w] = err
					return
				}
				top := engine.Top{Now: engine.Position{Epoch: before.epoch, Offset: before.last}}
				if end != nil {
					top.Last = engine.Position{Epoch: before.epoch, Offset: end.Seq}
					top.Now.Offset = max(top.Now.Offset, end.Seq)
				}
				tops[topic] = top
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return false, err
		}
	}
	state, err := h.state(ctx, attached, "tops", s)
	return state.epoch == before.epoch, err
}
