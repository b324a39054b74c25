package webwiretest

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/webwire-go/webwire/transport/transporttest"
)

// stormBytes is how many bytes more an end sends at most before a storm cuts its connection.
const stormBytes = 4096

// Storm breaks connections of the network until ctx ends, one after each pause. Pauses are random
// and at most maxPause long. A connection is cut at once, or by the byte: when one of its ends has sent a
// random number of bytes more, up to 4 KiB. The seed determines the pauses and the breaks.
//
// A test that fails in a storm should print its seed, and one that uses many seeds finds more.
func (n *Network) Storm(ctx context.Context, seed uint64, maxPause time.Duration) {
	random := rand.New(rand.NewPCG(seed, 0))
	for {
		pause := time.NewTimer(time.Duration(1 + random.Int64N(max(1, int64(maxPause)))))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
		links := n.allLinks()
		if len(links) == 0 {
			continue
		}
		l, how, after := links[random.IntN(len(links))], random.IntN(3), 1+random.IntN(stormBytes)
		switch how {
		case 0:
			l.Cut()
		case 1:
			cutAfter(l.near, after)
		case 2:
			cutAfter(l.far, after)
		}
	}
}

func cutAfter(f *transporttest.Faults, bytes int) {
	for _, c := range f.Conns() {
		c.CutAfter(bytes)
	}
}
