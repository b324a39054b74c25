// Package engine defines what the nodes of an application share. A node is one
// process that serves WebWire connections; an engine lets several nodes act as one.
// It has four parts, each an interface that can be replaced alone:
//
//   - a [Bus] carries publications to the nodes that subscribed, and questions from
//     one node to another;
//   - a [Log] keeps the latest publications of each topic, so that a subscriber that
//     was away can read what it missed, or learn that it cannot;
//   - a [Roster] knows which nodes are alive and who is present in a topic;
//   - a [session.Store] keeps sessions.
//
// [Memory] is the engine of one process, and of tests that run several nodes in one
// process. It works in the virtual time of testing/synctest:
//
//	var memory engine.Memory
//	a, b := memory.Node(), memory.Node()
//	a.Bus.Open(ctx, engine.NewNodeID(), inletOfA)
//	b.Bus.Open(ctx, engine.NewNodeID(), inletOfB)
//	b.Bus.Subscribe(ctx, "room.42")
//	a.Log.Append(ctx, "room.42", data, "") // stored, then delivered to inletOfB
//
// The module engine/nats is an engine on NATS. To bring another one, implement the
// interfaces and run the suite in engine/enginetest on it: the suite is the
// executable form of what this package documents.
//
// # What is promised
//
// A bus delivers at most once and may lose: what was lost without a trace is found
// by comparing positions. A log delivers what it stored. Each delivery of a log has
// its own position and that of the entry before it, so that a subscriber sees by
// [Delivery.Step] whether it has missed something, and reads that from the log. The
// last publication before a silence has no successor to reveal its loss: subscribers
// compare their position with [Log.Tops] from time to time, soon after subscribing
// and whenever [Inlet.Lost] was called. So nothing is lost silently.
package engine

import (
	"crypto/rand"
	"encoding/hex"

	"github.com/webwire-go/webwire/session"
)

// Engine is the engine of one node. A nil field means that the engine does not have
// this part; what needs it then fails with an error that names it. Bus.Open comes
// before every other call and Bus.Close ends all parts but Sessions.
type Engine struct {
	Bus      Bus
	Log      Log
	Roster   Roster
	Sessions session.Store
}

// NodeID identifies one run of one node: a process that restarts is another node.
type NodeID [8]byte

// NewNodeID returns a random id.
func NewNodeID() NodeID {
	var id NodeID
	rand.Read(id[:]) // never fails, see its documentation
	return id
}

// String returns the id as 16 hexadecimal digits.
func (id NodeID) String() string { return hex.EncodeToString(id[:]) }

// Position is a place in the log of a topic. Offsets grow from entry to entry, not
// necessarily by one, and are comparable within an epoch only. An epoch ends when a
// log loses what it stored; positions of different epochs have no order. The zero
// Position is no position: that of a publication that was not logged, and of a reader
// that has not seen anything.
//
// An engine returns numbers below 2^53, which clients in JavaScript can keep. What it
// is given may come from a client, and be anything.
type Position struct{ Epoch, Offset uint64 }

// IsZero reports whether p is no position.
func (p Position) IsZero() bool { return p == Position{} }

// MaxName is the maximum length in bytes of a subject or topic.
const MaxName = 255

// CheckName returns nil if name can be a subject or topic: any 1 to [MaxName] bytes.
// Otherwise it returns an error that wraps [ErrName].
func CheckName(name string) error {
	if name == "" || len(name) > MaxName {
		return ErrName
	}
	return nil
}
