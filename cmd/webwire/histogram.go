package main

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets that are 1.6 % wide, up to a minute.
type histogram struct {
	count   uint64
	sum     time.Duration
	max     time.Duration
	buckets [histogramSize]uint64
}

const (
	fine          = 6 // bits of a bucket's number within a power of two
	histogramSize = 31 << fine
)

func bucketOf(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < 1<<fine {
		return int(n)
	}
	shift := bits.Len64(n) - fine - 1
	return min(shift<<fine+int(n>>shift), histogramSize-1)
}

// middle returns the duration in the middle of a bucket.
func middle(bucket int) time.Duration {
	if bucket < 2<<fine {
		return time.Duration(bucket)
	}
	shift := bucket>>fine - 1
	return time.Duration(bucket-shift<<fine)<<shift + 1<<shift/2
}

func (h *histogram) add(d time.Duration) {
	h.count++
	h.sum += d
	h.max = max(h.max, d)
	h.buckets[bucketOf(d)]++
}

func (h *histogram) merge(other *histogram) {
	h.count += other.count
	h.sum += other.sum
	h.max = max(h.max, other.max)
	for i, n := range other.buckets {
		h.buckets[i] += n
	}
}

// quantile returns the duration that a share q of all does not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	left := uint64(q * float64(h.count))
	for i, n := range h.buckets {
		if n > left {
			return min(middle(i), h.max)
		}
		left -= n
	}
	return h.max
}

// between returns how many durations are at least from and less than to, as exactly as
// the buckets say.
func (h *histogram) between(from, to time.Duration) (n uint64) {
	for i, count := range h.buckets {
		if d := middle(i); d >= from && d < to {
			n += count
		}
	}
	return n
}
