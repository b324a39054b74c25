package server

import "github.com/webwire-go/webwire/protocol"

// TopicOptions are what Options.Topics returns for a topic. The zero value is a topic
// without history and presence.
type TopicOptions struct {
	// History keeps the latest publications in the log of the engine, so that a
	// subscriber that was away gets what it missed, or learns that it cannot. All nodes
	// must agree about it. False: the topic has no positions.
	History bool

	// Presence makes the members of all nodes known to Topic.Count and Topic.Members, and to
	// subscribers that ask for them. False: subscribing with presence is refused.
	Presence bool

	// Overflow is what happens to a member that does not keep up. Zero: Disconnect.
	Overflow Overflow

	// Key returns the key of a publication for LatestPerKey. It is called for each
	// publication, once on each node with members and perhaps again when the node reads
	// the history, before any member gets it: it must return soon. It may be called
	// concurrently, and may call methods of Topic. It must not modify the payload. If it
	// panics that is logged, and the key is the name. Nil: the name of the publication.
	Key func(name string, p protocol.Payload) string
}

// Overflow is what happens to a publication if a member does not keep up: for Disconnect if
// its outbox is full, see Options.OutboxSize; for the others if at least 64 KiB are queued
// there, or it is full, so that the latest publications are not behind many old ones. A client
// that subscribed learns of what is dropped by a gap; others do not. Server.Stats counts it.
type Overflow uint8

const (
	// Disconnect closes the connection with StatusSlowConsumer.
	Disconnect Overflow = iota

	// DropOldest keeps the 64 latest publications for the member until it reads.
	DropOldest

	// LatestPerKey keeps the latest publication of each of at most 64 keys for the member
	// until it reads.
	LatestPerKey
)

// maxBacklog is the number of publications that are kept for a member that does not keep up.
const maxBacklog = 64
