package engine

import (
	"context"
	"iter"
)

// Roster knows which nodes are alive, and who is present in topics. What it tells may
// be some seconds old: a node that started is known to the others within two seconds,
// one that closed within two, and one that crashed is gone within ten seconds, with
// all of its records. Methods may be called from any goroutine at any time after
// Bus.Open.
type Roster interface {
	// Nodes returns the ids of the nodes that are alive, in no particular order, this
	// one included. While the engine cannot be reached that is what was known last.
	// The sequence is empty before Open and after Close.
	Nodes() iter.Seq[NodeID]

	// Put replaces this node's record of a topic, whose content is the caller's
	// affair. Without members, len(members) == 0, it removes the record. The record
	// is kept as long as the node lives, until the next Put. When [Inlet.Lost] is
	// called for all subjects it may be gone, and is to be put again.
	Put(ctx context.Context, topic string, members []byte) error

	// List returns the records of a topic, one for each node that has one, in no
	// particular order. It knows what this node has put, and what others have put a
	// second ago.
	List(ctx context.Context, topic string) ([]Members, error)
}

// Members is what a node has put about a topic.
type Members struct {
	Node NodeID
	Data []byte
}
