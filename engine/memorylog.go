package engine

import (
	"fmt"
	"time"
)

const (
	// duplicateWindow is how long the id of an Append is known.
	duplicateWindow = 2 * time.Minute

	// entryOverhead is about what an entry costs beside its data.
	entryOverhead = 128
)

// memoryLog is the logs of all topics. Offsets count the entries of all topics
// together, so that the end of the log of a topic without entries is a position too.
// Its owner's lock guards it.
type memoryLog struct {
	history  int
	maxAge   time.Duration
	maxBytes int

	epoch, last    uint64 // last is the newest offset
	oldest, newest *memoryEntry
	bytes          int
	topics         map[string]*memoryTopic // that have entries

	// forgotten is the offset up to which topics that have no entries may have had
	// some.
	forgotten uint64

	// Ids are known for a time, however many there are: what is forgotten early
	// could be stored twice.
	ids   map[memoryID]uint64
	idAge []memoryIDAge // the oldest first
}

// memoryEntry is an element of two lists: of all entries, and of those of a topic.
type memoryEntry struct {
	topic        *memoryTopic
	offset       uint64
	stored       time.Time
	data         []byte
	older, newer *memoryEntry // of any topic
	prev, next   *memoryEntry // of the same topic
}

type memoryTopic struct {
	name        string
	first, last *memoryEntry
	count       int
	evicted     uint64 // the offset up to which entries may be missing
}

type memoryID struct{ topic, id string }

type memoryIDAge struct {
	id     memoryID
	stored time.Time
}

// append stores an entry and returns its delivery, or that of the entry stored before
// with the same id.
func (l *memoryLog) append(topic string, data []byte, id string) (d Delivery, isNew bool, err error) {
	if l.size(data) > l.maxBytes {
		return Delivery{}, false, fmt.Errorf("%w: %d bytes", ErrTooBig, len(data))
	}
	now := time.Now()
	l.expire(now)
	key := memoryID{topic, id}
	if offset, known := l.ids[key]; known && id != "" {
		return Delivery{At: Position{l.epoch, offset}}, false, nil
	}
	t := l.topics[topic]
	if t == nil {
		t = &memoryTopic{name: topic, evicted: l.forgotten}
		l.topics[topic] = t
	}
	l.last++
	e := &memoryEntry{topic: t, offset: l.last, stored: now, data: data, older: l.newest, prev: t.last}
	d = Delivery{Data: data, At: Position{l.epoch, e.offset}, Prev: Position{l.epoch, 0}}
	if t.last != nil {
		d.Prev.Offset = t.last.offset
		t.last.next = e
	} else {
		t.first = e
	}
	if l.newest != nil {
		l.newest.newer = e
	} else {
		l.oldest = e
	}
	l.newest, t.last = e, e
	t.count++
	l.bytes += l.size(data)
	if t.count > l.history {
		l.evict(t.first)
	}
	for l.bytes > l.maxBytes {
		l.evict(l.oldest)
	}
	if id != "" {
		l.ids[key] = e.offset
		l.idAge = append(l.idAge, memoryIDAge{key, now})
	}
	return d, true, nil
}

func (l *memoryLog) size(data []byte) int { return len(data) + entryOverhead }

// expire drops what is too old. The oldest entry of all is the oldest of its topic.
func (l *memoryLog) expire(now time.Time) {
	for l.maxAge > 0 && l.oldest != nil && now.Sub(l.oldest.stored) >= l.maxAge {
		l.evict(l.oldest)
	}
	for len(l.idAge) > 0 && now.Sub(l.idAge[0].stored) >= duplicateWindow {
		delete(l.ids, l.idAge[0].id)
		l.idAge = l.idAge[1:]
	}
}

// evict removes the first entry of a topic.
func (l *memoryLog) evict(e *memoryEntry) {
	t := e.topic
	t.count--
	t.evicted = e.offset
	if t.first = e.next; t.first != nil {
		t.first.prev = nil
	} else {
		delete(l.topics, t.name)
		l.forgotten = max(l.forgotten, e.offset)
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		l.oldest = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		l.newest = e.older
	}
	l.bytes -= l.size(e.data)
}

func (l *memoryLog) read(topic string, after Position, most int) Page {
	most = max(most, 1)
	l.expire(time.Now())
	page := Page{Now: Position{l.epoch, l.last}}
	t := l.topics[topic]
	evicted := l.forgotten
	if t != nil {
		evicted = t.evicted
	}
	from := after.Offset
	switch {
	case after.IsZero():
		page.Complete = true
	case after.Epoch != l.epoch || after.Offset > l.last:
		from = 0
	default:
		page.Complete = after.Offset >= evicted
	}
	if t == nil {
		return page
	}
	// Readers are mostly near the end.
	e := t.last
	for e.prev != nil && e.prev.offset > from {
		e = e.prev
	}
	if e.offset <= from {
		return page
	}
	for ; e != nil; e = e.next {
		if len(page.Entries) >= most {
			page.More = true
			page.Now = page.Entries[len(page.Entries)-1].At
			break
		}
		page.Entries = append(page.Entries, Entry{At: Position{l.epoch, e.offset}, Data: e.data})
	}
	return page
}

func (l *memoryLog) top(topic string) Top {
	l.expire(time.Now())
	top := Top{Now: Position{l.epoch, l.last}}
	if t := l.topics[topic]; t != nil {
		top.Last = Position{l.epoch, t.last.offset}
	}
	return top
}
