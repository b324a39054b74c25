package link

import "time"

const (
	// malformedEvery is how often a peer of a version before 3.0, which may ignore malformed
	// messages or answer them, may send one for long.
	malformedEvery = 10 * time.Millisecond

	// malformedAtOnce is how many it may send at once.
	malformedAtOnce = 100
)

// tolerance slows down the reader of a connection on which many messages are malformed:
// they must not keep the processor from other connections. It is the time, as of now, at
// which all of them will be forgotten; zero if there was none.
type tolerance time.Duration

// slowDown counts a malformed message, and waits if there were too many.
func (t *tolerance) slowDown() {
	at := now()
	if *t == 0 || time.Duration(*t) < at {
		*t = tolerance(at)
	}
	*t += tolerance(malformedEvery)
	time.Sleep(time.Duration(*t) - at - malformedAtOnce*malformedEvery)
}
