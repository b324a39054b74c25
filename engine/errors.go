package engine

import (
	"errors"
	"fmt"
	"net"
)

var (
	// ErrAway reports that the engine cannot be reached. The operation did not
	// happen.
	ErrAway = errors.New("engine: away")

	// ErrUnconfirmed reports that the engine did not confirm the operation: it may
	// have happened, and may still happen. An Append may be repeated with its id.
	ErrUnconfirmed = errors.New("engine: not confirmed")

	// ErrNoNode reports that the node does not exist, or no longer exists.
	ErrNoNode = errors.New("engine: no such node")

	// ErrName reports a subject or topic that is empty or longer than [MaxName].
	ErrName = errors.New("engine: a name has 1 to 255 bytes")

	// ErrTooBig reports data that is larger than the engine can carry.
	ErrTooBig = errors.New("engine: data too big")

	// ErrNotOpen reports the use of an engine before Bus.Open.
	ErrNotOpen = errors.New("engine: not open")

	// ErrClosed reports the use of an engine after Bus.Close. It unwraps to
	// net.ErrClosed.
	ErrClosed = fmt.Errorf("engine: %w", net.ErrClosed)
)

// AskError is what the [Inlet.Asked] of another node returned as an error. Only the
// text crosses between nodes.
type AskError struct {
	Node NodeID // that was asked
	Text string
}

func (e *AskError) Error() string { return "engine: node " + e.Node.String() + ": " + e.Text }
