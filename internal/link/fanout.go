package link

import (
	"runtime"
	"sync/atomic"
	"time"
)

// A Fanout sends to many links, by a few goroutines instead of one for each. The zero
// value is ready to use, once and by one goroutine.
type Fanout struct {
	links   []*Link // to be flushed
	next    atomic.Int64
	seen    int64 // next at the last look
	runners int
}

// TrySendEncoded is that of l, but what it adds may be sent only after Flush.
func (f *Fanout) TrySendEncoded(l *Link, msg []byte) error {
	if err := checkSize(len(msg), l.conf.MaxMessage); err != nil {
		return err
	}
	promised, flush, err := l.out.addPromised(msg)
	switch {
	case flush:
		l.flush(false)
	case promised && l.own():
		f.links = append(f.links, l)
	}
	return err
}

// Flush sends what was added. It waits for nothing.
func (f *Fanout) Flush() {
	f.start(runtime.GOMAXPROCS(0))
	if f.runners > 0 {
		time.AfterFunc(patience, f.look)
	}
}

func (f *Fanout) start(n int) {
	n = min(n, len(f.links)-int(f.next.Load()))
	for range n {
		go f.run()
	}
	f.runners += max(n, 0)
}

// look finds out whether all are held up by peers that do not read, and sends others
// then for those that do.
func (f *Fanout) look() {
	next := f.next.Load()
	if next >= int64(len(f.links)) {
		return
	}
	if next == f.seen {
		f.start(f.runners)
	}
	f.seen = next
	time.AfterFunc(patience, f.look)
}

func (f *Fanout) run() {
	for {
		i := f.next.Add(1) - 1
		if i >= int64(len(f.links)) {
			return
		}
		l := f.links[i]
		if l.out.keep() {
			l.flush(true)
		}
		l.background.Done()
	}
}
