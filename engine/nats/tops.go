package natsengine

import (
	"context"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/webwire-go/webwire/engine"
)

const (
	// parallel limits the requests of one call of Tops.
	parallel = 32
	// topsAtOnce is how many topics are in one request; JetStream answers with at most
	// 1024 messages.
	topsAtOnce = 256
	// markerName is a subject of each log that is always there: no topic's token is
	// like it. What a replica answers about it shows where its stream ends.
	markerName = "=now"
)

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
	before, err := h.state(ctx, attached, "tops", s)
	if err != nil {
		return false, err
	}
	subjects := make([]string, len(of))
	for i, topic := range of {
		_, subjects[i], _ = h.log(topics[topic])
	}
	for done := 0; done < len(of); done += topsAtOnce {
		part := of[done:min(done+topsAtOnce, len(of))]
		ends, now, err := h.ends(ctx, attached, "tops", s, before.last, subjects[done:done+len(part)])
		if err != nil {
			return false, err
		}
		for i, topic := range part {
			tops[topic] = engine.Top{Now: engine.Position{Epoch: before.epoch, Offset: max(now, ends[i])}}
			if ends[i] > 0 {
				tops[topic].Last = engine.Position{Epoch: before.epoch, Offset: ends[i]}
			}
		}
	}
	state, err := h.state(ctx, attached, "tops", s)
	return state.epoch == before.epoch, err
}

// ends returns the sequence of the last message of each subject, zero if there is none,
// and one up to which a reader that has seen these has seen everything. All that was
// acknowledged before last is in it.
//
// The two must be of the same replica: for some seconds after a partition two leaders
// may answer, and what one says about a subject does not go with where the other's
// stream ends. A direct request is answered by one. If that lags, the leader tells
// where the subjects end.
func (h history) ends(ctx, attached context.Context, what string, s *stream, last uint64, subjects []string) (ends []uint64, now uint64, err error) {
	b, err := h.snapshot(ctx, attached, what, s, subjects)
	if err != nil {
		return nil, 0, err
	}
	if b.left > 0 && len(subjects) > 1 { // too much data for one answer
		half := len(subjects) / 2
		first, now1, err := h.ends(ctx, attached, what, s, last, subjects[:half])
		if err != nil {
			return nil, 0, err
		}
		second, now2, err := h.ends(ctx, attached, what, s, last, subjects[half:])
		return append(first, second...), min(now1, now2), err
	}
	found := make(map[string]uint64, len(b.messages))
	for _, m := range b.messages {
		found[m.Subject] = m.Seq
	}
	ends = make([]uint64, len(subjects))
	for i, subject := range subjects {
		ends[i] = found[subject]
	}
	if b.upTo < last || b.left > 0 {
		err = h.endsOfLeader(ctx, attached, what, s, subjects, ends)
	}
	return ends, b.upTo, err
}

// snapshot asks a replica for the last messages of subjects, and makes the marker if
// there is none.
func (h history) snapshot(ctx, attached context.Context, what string, s *stream, subjects []string) (batch, error) {
	marker := s.marker()
	query := lastOfSubjects{append(subjects[:len(subjects):len(subjects)], marker), batchBytes}
	for range 10 {
		b, err := h.direct(ctx, attached, what, s, len(query.Subjects), query)
		if err != nil || b.upTo > 0 {
			return b, err
		}
		if _, err := h.store(ctx, attached, what, &nats.Msg{Subject: marker}); err != nil {
			return b, err
		}
	}
	return batch{}, fmt.Errorf("%w: natsengine: %s: a replica does not know what was stored", engine.ErrAway, what)
}

// endsOfLeader puts later ends in place of those that the leader knows better.
func (h history) endsOfLeader(ctx, attached context.Context, what string, s *stream, subjects []string, ends []uint64) error {
	var wg sync.WaitGroup
	errs := make([]error, min(parallel, len(subjects)))
	for w := range errs {
		wg.Go(func() {
			for i := w; i < len(subjects) && errs[w] == nil; i += len(errs) {
				m, err := h.get(ctx, attached, what, s, lastBySubject{subjects[i]})
				errs[w] = err
				if m != nil {
					ends[i] = max(ends[i], m.Seq)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
