package engine

import "context"

// Log keeps the latest publications of topics. A topic is also the subject on which
// its publications are delivered, and needs no creation. How many entries of a topic
// are kept, and for how long, is an option of the engine; the oldest are evicted
// first.
//
// Methods may be called from any goroutine at any time after Bus.Open. They do not
// retain the slices they are given, and their results belong to the caller, except
// that the Data of entries may be shared and is not to be modified. If ctx has ended
// its error is returned unchanged. A log that cannot be reached returns an error that
// wraps [ErrAway] at once.
type Log interface {
	// Append stores data as the newest entry of the topic and delivers it to all
	// nodes that subscribed to the subject topic, this one included: if it is stored
	// it is delivered, even if Append fails. Appends of one goroutine to one topic
	// are stored in order. The result is the entry's position. When Append returns,
	// Read and Tops of all nodes know the entry.
	//
	// If id is not empty and an entry of the topic with that id was stored within
	// the last two minutes, nothing is stored or delivered, and the result is the
	// position of that entry. So an Append that returned an error that wraps
	// [ErrUnconfirmed] can be repeated safely.
	Append(ctx context.Context, topic string, data []byte, id string) (Position, error)

	// Read returns entries of the topic after a position, the oldest first, at most
	// max of them and at least one if there is one; max is positive. If after is
	// zero, of another epoch, or behind the end of the log, it begins with the oldest
	// entry that is kept.
	Read(ctx context.Context, topic string, after Position, max int) (Page, error)

	// Tops returns for each topic where its log ends, in the same order. It knows
	// everything whose Append returned before, on any node.
	Tops(ctx context.Context, topics []string) ([]Top, error)
}

// Entry is one publication in a log.
type Entry struct {
	At   Position
	Data []byte // shared, not to be modified
}

// Top is where the log of a topic ends.
type Top struct {
	// Last is the position of the newest entry that is kept. It is zero if none is:
	// the topic never had one, or all have expired.
	Last Position

	// Now is the end of the log. A reader that has seen Last has seen everything up
	// to Now, and takes it as its position: the position then stays young although
	// the topic is quiet, and can still be looked up when Last has expired. It is
	// never zero.
	Now Position
}

// Page is a part of a log. A reader takes Now as its position, and reads on while
// there is more:
//
//	for {
//		page, err := log.Read(ctx, topic, position, 100)
//		if err != nil {
//			return err
//		}
//		if !page.Complete {
//			gap()
//		}
//		handle(page.Entries)
//		if position = page.Now; !page.More {
//			return nil
//		}
//	}
type Page struct {
	Entries []Entry

	// Now is the position of a reader that has read this page: that of the last of
	// Entries if there are more, and else the end of the log, as [Top.Now]. It is
	// never zero.
	Now Position

	// More reports whether there are entries behind those of this page.
	More bool

	// Complete reports whether nothing is missing between the position that was read
	// from and the first of Entries. False means that entries have been evicted, or
	// that the engine cannot exclude it. It is true if an entry at that position is
	// still kept, or the position is zero: a reader that has seen nothing misses
	// nothing. It is false if the position is of another epoch or behind the end of
	// the log.
	Complete bool
}
