package link

import "time"

const (
	// malformedEvery is how often a peer of a version before 3.0, which may ignore malformed
	// messages or answer them, may send one for long, in milliseconds.
	malformedEvery = 10

	// malformedAtOnce is how long it takes until as many are forgotten as it may send at
	// once, in milliseconds.
	malformedAtOnce = 100 * malformedEvery
)

// tolerance slows down the reader of a connection on which many messages are malformed:
// they must not keep the processor from other connections. It is the time at which all of
// them will be forgotten, of now in milliseconds, of which it has the lower 32 bits.
type tolerance int32

// slowDown counts a malformed message, and waits if there were too many.
func (t *tolerance) slowDown() {
	at := tolerance(now().Milliseconds())
	left := *t - at
	if left < 0 || left > malformedAtOnce { // it has passed, perhaps weeks ago
		left = 0
	}
	left += malformedEvery
	*t = at + left
	time.Sleep(time.Duration(left-malformedAtOnce) * time.Millisecond)
}
