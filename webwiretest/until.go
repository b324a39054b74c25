package webwiretest

import (
	"context"
	"fmt"
	"time"
)

// The pause between two calls of a condition doubles from minPoll to maxPoll.
const (
	minPoll = time.Millisecond
	maxPoll = 100 * time.Millisecond
)

// Until calls condition again and again until it returns true, or until ctx ends: then it
// returns an error that wraps that of ctx. Use it for what a test cannot wait for otherwise. In a
// bubble of testing/synctest the time between two calls is virtual.
func Until(ctx context.Context, condition func() bool) error {
	for pause := minPoll; !condition(); pause = min(2*pause, maxPoll) {
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("webwiretest: the condition is still false: %w", ctx.Err())
		}
	}
	return nil
}
