package main

import (
	"math/bits"
	"time"
)

// A histogram counts durations in buckets that are 1.6 % wide, up to a minute.
type histogram struct {
	count   uint64
	buckets [buckets]uint32
}

const (
	fine    = 6 // bits of a bucket's number within a power of two
	buckets = 31 << fine
)

func bucketOf(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < 1<<fine {
		return int(n)
	}
	shift := bits.Len64(n) - fine - 1
	return min(shift<<fine+int(n>>shift), buckets-1)
}

// middle returns the duration in the middle of a bucket.
func middle(bucket int) time.Duration {
	if bucket < 2<<fine {
		return time.Duration(bucket)
	}
	shift := bucket>>fine - 1
	low := uint64(bucket-shift<<fine) << shift
	return time.Duration(low + 1<<shift/2)
}

func (h *histogram) add(d time.Duration) {
	h.buckets[bucketOf(d)]++
	h.count++
}

func (h *histogram) merge(other *histogram) {
	if other.count == 0 {
		return
	}
	h.count += other.count
	for i, n := range other.buckets {
		h.buckets[i] += n
	}
}

// quantile returns the duration that the part q of all is not above, in µs.
func (h *histogram) quantile(q float64) float64 {
	left := uint64(q * float64(h.count))
	for i, n := range h.buckets {
		if uint64(n) > left {
			return float64(middle(i)) / float64(time.Microsecond)
		}
		left -= uint64(n)
	}
	return 0
}
