package server

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
)

// Topic addresses the connections that are members of a topic, on all nodes that share an
// engine. It is a value: nothing is created before a connection joins, and nothing is left
// when the last one has left. Its methods may be called from any goroutine. They fail with
// engine.ErrName for a name that is empty or longer than 255 bytes, and with errors that
// wrap those of package engine if the engine fails.
type Topic struct {
	topics *topics
	name   string
}

// Topic returns the topic of a name.
func (s *Server) Topic(name string) Topic { return Topic{&s.topics, name} }

// Name returns the name of the topic.
func (t Topic) Name() string { return t.name }

// Message is a publication in the history of a topic.
type Message struct {
	Position engine.Position
	Name     string
	Payload  protocol.Payload // may be shared, not to be modified
	Meta     protocol.Head    // trace context and metadata, nil if there are none; as Payload
}

// Member is a member of a topic, see TopicOptions.Presence.
type Member struct {
	ID   string          // of the membership: the node where it began and a number; never used twice
	Info json.RawMessage // what Hooks.OnSubscribe returned, nil for members by Topic.Join
}

var (
	errNoHistory  = fmt.Errorf("server: topic: TopicOptions.History is off, see Options.Topics: %w", protocol.ErrUnsupported)
	errNoPresence = fmt.Errorf("server: topic: TopicOptions.Presence is off, see Options.Topics: %w", protocol.ErrUnsupported)
	errNoLog      = fmt.Errorf("server: topic: Options.Engine has no Log: %w", protocol.ErrUnsupported)
	errNoRoster   = fmt.Errorf("server: topic: Options.Engine has no Roster: %w", protocol.ErrUnsupported)
)

// Publish sends a publication to all members of the topic on all nodes, in the order of
// the topic. It returns when the engine has taken it, which needs no members, and does not
// wait for them: what happens to a member that does not keep up is said by
// TopicOptions.Overflow. With TopicOptions.History it is kept, and has a position; else the
// position is zero. Members that have subscribed get a publication; others get a signal of
// that name, unless the version of the protocol that they speak does not allow the name or
// the payload. Members of 3.0 find what WithMeta added to ctx in its Meta; the history
// keeps it too. Publish does not retain p.
//
// The error wraps protocol.ErrMalformed if no version allows it, or if the metadata is too
// long, and engine.ErrAway if the engine cannot be reached: then nobody has got it. After
// engine.ErrUnconfirmed, and after engine.ErrClosed if the server was closed meanwhile, it
// may have been published.
func (t Topic) Publish(ctx context.Context, name string, p protocol.Payload) (engine.Position, error) {
	if err := engine.CheckName(t.name); err != nil {
		return engine.Position{}, err
	}
	data, err := publication(link.Meta(ctx), name, p)
	if err != nil {
		return engine.Position{}, err
	}
	ts := t.topics
	if err := ts.ready(ctx); err != nil {
		return engine.Position{}, err
	}
	switch history := ts.options(t.name).History; {
	case !history:
		return engine.Position{}, ts.fault("publish", t.name, ts.engine.Bus.Publish(ctx, t.name, data))
	case ts.engine.Log == nil:
		return engine.Position{}, errNoLog
	}
	at, err := ts.engine.Log.Append(ctx, t.name, data, "")
	return at, ts.fault("append", t.name, err)
}

// Join makes a connection a member until Leave, or until the connection ends. When it
// returns nil the membership is effective: what any node publishes from then on reaches
// the connection as a signal. To join again does nothing; that includes a membership that
// Hooks.OnClientBack finds on its way from another node. While the connection may move to
// another node Join waits, until ctx ends. On a connection that has ended, or that another
// node has, the error wraps ErrConnClosed.
func (t Topic) Join(ctx context.Context, c *Conn) error {
	e, err := t.topics.hold(ctx, t.name)
	if err != nil {
		return err
	}
	m := newMember(e, c)
	joined, err := e.join(m)
	for err == errMoving {
		if !wait(ctx, joinAgain) {
			err = ctx.Err()
			break
		}
		joined, err = e.join(m)
	}
	if !joined {
		e.release()
	}
	return err
}

// joinAgain is how often Join looks whether a connection has moved or stays, and is a member of
// its topics again.
const joinAgain = 20 * time.Millisecond

// join is one attempt of Join.
func (e *topic) join(m *member) (joined bool, err error) {
	e.mu.Lock() // whoever joins at the same time returns only once m is live
	defer e.mu.Unlock()
	if joined, err = m.conn.members.join(m); joined {
		e.admit(m)
	}
	return joined, err
}

// Leave undoes Join. It does not end subscriptions of the client. Publications that are
// in the outbox are still sent, those that wait behind it are dropped.
func (t Topic) Leave(c *Conn) {
	if m := c.members.part(t.name); m != nil {
		m.leave()
	}
}

// Has reports whether Join has made a connection a member, and neither Leave nor its end has
// undone that.
func (t Topic) Has(c *Conn) bool { return c.members.has(t.name) }

// Conns returns the connections of this node that are members when the iteration begins,
// each once. Broadcast takes it.
func (t Topic) Conns() iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		if e := t.topics.find(t.name); e != nil {
			for _, c := range e.conns() {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// Count returns the number of members on all nodes. Those of other nodes may be about a
// second old. It needs TopicOptions.Presence.
func (t Topic) Count(ctx context.Context) (int, error) {
	records, err := t.present(ctx)
	_, n := everybody(records)
	return n, err
}

// Members returns the members on all nodes, in no particular order. Those of other nodes
// may be about a second old. Those of a node with more than 1000, or with more than 1 MB of
// infos, are missing; Count includes them. It needs TopicOptions.Presence. An error comes
// once, alone.
func (t Topic) Members(ctx context.Context) iter.Seq2[Member, error] {
	return func(yield func(Member, error) bool) {
		records, err := t.present(ctx)
		if err != nil {
			yield(Member{}, err)
			return
		}
		all, _ := everybody(records)
		for _, m := range all {
			if !yield(Member(m), nil) {
				return
			}
		}
	}
}

func (t Topic) present(ctx context.Context) (map[engine.NodeID]record, error) {
	if err := engine.CheckName(t.name); err != nil {
		return nil, err
	}
	ts := t.topics
	switch err := ts.ready(ctx); {
	case err != nil:
		return nil, err
	case !ts.options(t.name).Presence:
		return nil, errNoPresence
	case ts.engine.Roster == nil:
		return nil, errNoRoster
	}
	return ts.records(ctx, t.name)
}

// History returns at most max publications after a position, the oldest first; zero begins
// with the oldest that is kept. If publications between after and the first one are gone,
// ErrHistoryGap comes first, with an empty message, and the iteration goes on if the loop
// does. Any other error is the last element. It needs TopicOptions.History.
func (t Topic) History(ctx context.Context, after engine.Position, max int) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		ts := t.topics
		err := engine.CheckName(t.name)
		if err == nil {
			err = ts.ready(ctx)
		}
		if err == nil && !ts.options(t.name).History {
			err = errNoHistory
		}
		if err == nil && ts.engine.Log == nil {
			err = errNoLog
		}
		for err == nil && max > 0 {
			var page engine.Page
			page, err = ts.engine.Log.Read(ctx, t.name, after, min(max, pageSize))
			if err = ts.fault("read", t.name, err); err != nil {
				break
			}
			if !page.Complete && !yield(Message{}, ErrHistoryGap) {
				return
			}
			for _, entry := range page.Entries {
				m, err := protocol.V3_0.Parse(entry.Data)
				if err == nil && m.Kind == protocol.Publication && !yield(Message{entry.At, m.Name, m.Payload, m.Head}, nil) {
					return
				}
			}
			max -= len(page.Entries)
			if after = page.Now; !page.More {
				return
			}
		}
		if err != nil {
			yield(Message{}, err)
		}
	}
}

func newMember(e *topic, c *Conn) *member {
	return &member{topic: e, conn: c, index: -1, number: e.topics.numbers.Add(1)}
}

// count returns the number of topics that this node has subscribed to.
func (t *topics) count() (n int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += len(s.all)
		s.mu.Unlock()
	}
	return n
}
