package main

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const streams = "streams" // the shape of the rows about streamed replies

// streamers are the contenders with streamed replies. Protocol 2.0 has none.
var streamers = []string{ofModern, "grpc", "connect"}

// streamSizes are the sizes of the items, in bytes.
var streamSizes = payloads[:2]

// beside is appended to the name of a contender in the row of its signals, which are
// measured in the same rounds as its streams.
const beside = ", signals"

var errStreamEnded = errors.New("a streamed reply ended by itself")

// streamsPart measures streamed replies: one request on one connection, whose reply is
// items as fast as the flow control allows. The client counts those that it has received.
func streamsPart(r *report, e effort, all []contender) error {
	for _, size := range streamSizes {
		s, err := streamed(e, all, size)
		if err != nil {
			return err
		}
		r.streams = append(r.streams, s...)
	}
	return nil
}

func streamed(e effort, all []contender, size int) ([]*series, error) {
	var runners []*runner
	var result []*series
	for _, c := range all {
		if !slices.Contains(streamers, c.name) {
			continue
		}
		conns, stop, err := connect(c, size, 1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		load := conns[0].(streamer).stream
		s := &series{contender: c.name, payload: size, shape: streams}
		result = append(result, s)
		runners = append(runners, &runner{s, func(d time.Duration) (sample, error) { return measureLoad(d, 1, load) }, stop})
		if c.kind == ours {
			s := &series{contender: c.name + beside, payload: size, shape: streams}
			result = append(result, s)
			runners = append(runners, signalRunner(s, conns[0].(signaller), func() {}))
		}
	}
	return result, interleave(e, runners)
}
