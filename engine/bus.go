package engine

import "context"

// Bus carries publications between nodes. Its methods may be called from any
// goroutine at any time, except that Open comes first.
//
// A subject is any string that [CheckName] accepts, compared byte by byte. Methods do
// not retain the slices they are given. If ctx has ended its error is returned
// unchanged, and an operation that was in progress may have happened. A bus that
// cannot be reached returns an error that wraps [ErrAway] at once: it does not wait
// for its return, and keeps nothing for later.
type Bus interface {
	// Open connects the node: the engine calls in from now on, and other nodes reach
	// the node as self. Open is called once. After an error nothing is left behind,
	// and the engine cannot be used.
	Open(ctx context.Context, self NodeID, in Inlet) error

	// Publish delivers data to all nodes that subscribed to subject, this one
	// included, without a position. It returns when the engine has taken the data,
	// not when nodes have it. Publications of one goroutine to one subject arrive in
	// order.
	Publish(ctx context.Context, subject string, data []byte) error

	// Subscribe asks for the publications to subjects. The engine has confirmed all
	// subscriptions when it returns nil: whatever this node publishes or appends
	// from then on is delivered to it, and so is what any node appends. (Between
	// nodes the confirmation can itself be lost; the check of the position soon after
	// subscribing finds that.) After an error none of the subjects that were not
	// subscribed to before is. Subscribing to a subject again confirms it again, and
	// does not deliver twice.
	Subscribe(ctx context.Context, subjects ...string) error

	// Unsubscribe ends subscriptions. It does not wait: some deliveries may still
	// come. An engine that cannot be reached unsubscribes when it can. Subjects that
	// are not subscribed to are ignored.
	Unsubscribe(subjects ...string)

	// Ask passes data to Inlet.Asked of a node, which may be this one, and returns
	// its answer. It returns an error that wraps [ErrNoNode] at once if the node does
	// not exist, an *[AskError] if Asked returned an error, and an error that wraps
	// [ErrUnconfirmed] if the node may have been asked but the answer was lost.
	Ask(ctx context.Context, to NodeID, data []byte) ([]byte, error)

	// Close ends the node: others get ErrNoNode, its records in the roster are
	// removed, calls in progress and later ones return an error that wraps
	// [ErrClosed]. When Close returns no method of the inlet runs or will run. It
	// may be called several times, but not by a method of the inlet.
	Close() error
}

// Inlet is how the engine calls a node. Different subjects and methods may be called
// at the same time.
type Inlet interface {
	// Deliver passes a publication to the node. It is called for one publication of
	// a subject at a time, in the order of the subject. It must return soon: an
	// engine may drop deliveries of a node that is slow, and then calls Lost.
	//
	// d.Data is shared by all receivers. It may be retained but not modified.
	Deliver(subject string, d Delivery)

	// Asked answers a question of another node. It may take its time; ctx ends when
	// the answer is no longer wanted, or when the engine closes. The engine does not
	// use the data it passes after the call, nor may the node use the answer.
	Asked(ctx context.Context, from NodeID, data []byte) ([]byte, error)

	// Lost reports that deliveries of subjects may be missing, or of any subject if
	// subjects is nil, for example because the connection was lost and is back. The
	// subscriptions are in force when it is called: the node compares its positions
	// with Log.Tops, and reads what it missed. What it missed of a subject without a log
	// is gone.
	//
	// If subjects is nil the node's records in the roster may be gone too: while it was
	// away the others may have taken it for dead. The engine does not put them again;
	// the node calls Roster.Put for every topic in which it has members, and repeats
	// what fails, or its members stay invisible to the others.
	//
	// The cause is for logs. Lost must return soon, as Deliver: it notes what is to be
	// done, and another goroutine does it.
	Lost(subjects []string, cause error)
}

// Delivery is a publication as it arrives.
type Delivery struct {
	Data []byte

	// At is the position of a publication that was logged, and Prev that of the
	// entry of the topic before it: all entries between the two are gone, or there
	// were none. Both are zero if it was not logged.
	At, Prev Position
}

// Step is how a delivery relates to the position of a subscriber.
type Step int

const (
	// Next is the delivery that follows the position, or one that was not logged.
	// The subscriber handles it; if it was logged its position is now At.
	Next Step = iota
	// Seen is a delivery at or before the position: it is ignored.
	Seen
	// Gap is a delivery behind some that the subscriber has not seen. It reads them
	// from the log.
	Gap
	// Reset is a delivery of another epoch: the log lost what it stored, and the
	// subscriber cannot know what it missed.
	Reset
)

// Step returns how d relates to a subscriber that has seen everything up to mine. A
// subscriber without a position, mine being zero, takes everything as next.
func (d Delivery) Step(mine Position) Step {
	switch {
	case d.At.IsZero() || mine.IsZero():
		return Next
	case d.At.Epoch != mine.Epoch:
		return Reset
	case d.At.Offset <= mine.Offset:
		return Seen
	case d.Prev.Offset > mine.Offset:
		return Gap
	}
	return Next
}
