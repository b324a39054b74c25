package natsengine

import (
	"context"
	"encoding/hex"
	"errors"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/webwire-go/webwire/engine"
)

// Heartbeats.
const (
	beatEvery = time.Second
	deadAfter = 5 * time.Second
	// ownRecordEvery is how often a node looks whether others took it for dead.
	ownRecordEvery = 5 * time.Second
	// emptyRecordTTL is how long the place of a removed record is kept.
	emptyRecordTTL = "10s"
)

// A heartbeat is the id of a node and one of these.
const (
	beat  = 'b'
	hello = 'h' // the node is new: others beat at once
	bye   = 'e' // the node has ended
)

// membership is which nodes are alive, by their heartbeats. The own ones are expected
// too: if they do not come back the connection is broken, whatever TCP says.
//
// A node that is dead has left records of who is present. Whoever notices the death
// removes them; the record of the node itself shows what is to be cleaned up to nodes
// that start after all others have died.
type membership struct {
	node    *node
	arrived chan *nats.Msg

	mu      sync.Mutex
	seen    map[engine.NodeID]time.Time
	hearing time.Time // since when this node hears itself, and would hear others
}

func newMembership(n *node) *membership {
	return &membership{node: n, arrived: make(chan *nats.Msg, 1024), seen: make(map[engine.NodeID]time.Time), hearing: time.Now()}
}

func (b *membership) open(ctx context.Context) error {
	n := b.node
	attached, err := n.ready(ctx)
	if err != nil {
		return err
	}
	b.saw(n.self)
	if _, err := n.nc.ChanSubscribe(n.subjects.heartbeats(), b.arrived); err != nil {
		return err
	}
	if err := b.putRecord(ctx, attached); err != nil {
		return err
	}
	n.workers.Go(b.run)
	b.send(hello)
	return n.flush(ctx, attached)
}

func (b *membership) putRecord(ctx, attached context.Context) error {
	_, err := b.node.store(ctx, attached, "open", &nats.Msg{
		Subject: b.node.subjects.nodeRecord(b.node.self), Data: []byte("1"),
	})
	return err
}

func (b *membership) send(kind byte) {
	b.node.nc.Publish(b.node.subjects.heartbeats(), append(b.node.self[:], kind)) // lost ones are the point
}

func (b *membership) run() {
	n := b.node
	beats := time.NewTicker(beatEvery)
	defer beats.Stop()
	records := time.NewTicker(ownRecordEvery)
	defer records.Stop()
	inherit := time.NewTimer(deadAfter + beatEvery)
	defer inherit.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case m := <-b.arrived:
			b.handle(m.Data)
		case <-beats.C:
			b.send(beat)
			dead := b.expire(time.Now())
			b.bury(dead)
			if n.opts.OnNodeDied != nil {
				for _, id := range dead {
					n.opts.OnNodeDied(id)
				}
			}
		case <-records.C:
			b.checkRecord()
		case <-inherit.C: // who is alive has been heard by now
			if !b.buryUnknown() {
				inherit.Reset(ownRecordEvery)
			}
		}
	}
}

func (b *membership) handle(data []byte) {
	var id engine.NodeID
	if len(data) != len(id)+1 {
		return
	}
	copy(id[:], data)
	switch kind := data[len(id)]; {
	case kind == bye && id != b.node.self:
		b.mu.Lock()
		delete(b.seen, id)
		b.mu.Unlock()
		b.node.asked.died(id)
	case kind == hello && id != b.node.self:
		b.saw(id)
		b.send(beat)
	case kind != bye:
		b.saw(id)
	}
}

func (b *membership) saw(id engine.NodeID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen[id] = time.Now()
}

func (b *membership) alive(id engine.NodeID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.seen[id]
	return ok
}

// expire returns the nodes that died. While this node hears not even itself nobody is
// taken for dead.
func (b *membership) expire(now time.Time) (dead []engine.NodeID) {
	n := b.node
	_, err := n.ready(n.ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	silence := now.Sub(b.seen[n.self])
	if err != nil || silence > 2*beatEvery {
		b.hearing = now
	}
	if err != nil {
		return nil
	}
	if silence > deadAfter {
		b.seen[n.self] = now
		n.opts.Logger.Warn("natsengine: connected, but nothing arrives; reconnecting")
		n.nc.ForceReconnect()
		return nil
	}
	if silence > 2*beatEvery {
		return nil
	}
	for id, at := range b.seen {
		if now.Sub(at) > deadAfter {
			delete(b.seen, id)
			dead = append(dead, id)
		}
	}
	return dead
}

// returned runs when the connection is back: others had no chance to be heard.
func (b *membership) returned(ctx context.Context) {
	now := time.Now()
	b.mu.Lock()
	for id := range b.seen {
		b.seen[id] = now
	}
	b.hearing = now
	b.mu.Unlock()
	if attached, err := b.node.ready(ctx); err == nil {
		b.send(hello)
		b.putRecord(ctx, attached) // checkRecord repeats it if it fails
	}
}

// bury removes the records of dead nodes.
func (b *membership) bury(dead []engine.NodeID) {
	n := b.node
	for _, id := range dead {
		n.opts.Logger.Warn("natsengine: a node has died", "node", id)
		n.asked.died(id)
		// What cannot be removed now is found by buryUnknown of a node that starts later.
		if attached, err := n.ready(n.ctx); err == nil {
			n.workers.Go(func() { b.purge(n.ctx, attached, id) })
		}
	}
}

func (b *membership) purge(ctx, attached context.Context, id engine.NodeID) {
	n := b.node
	for _, subject := range []string{n.subjects.presenceOf(id) + "*", n.subjects.nodeRecord(id)} {
		var answer struct {
			Error *apiError `json:"error"`
		}
		query := struct {
			Filter string `json:"filter"`
		}{subject}
		err := n.api(ctx, attached, "clean up", "STREAM.PURGE."+n.nodes.name, query, &answer)
		if err == nil {
			err = apiFailure("clean up", answer.Error)
		}
		if err != nil {
			if n.ctx.Err() == nil {
				n.opts.Logger.Warn("natsengine: the records of a dead node were not removed", "node", id, "error", err)
			}
			return
		}
	}
}

// checkRecord puts the own record again if it is gone: somebody took the node for dead
// and removed all that it had put.
func (b *membership) checkRecord() {
	n := b.node
	attached, err := n.ready(n.ctx)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, 2*beatEvery) // heartbeats wait meanwhile
	defer cancel()
	record, err := n.get(ctx, attached, "check", n.nodes, lastBySubject{n.subjects.nodeRecord(n.self)})
	if err != nil || record != nil {
		return
	}
	b.putRecord(ctx, attached) // even if this fails the record may be there the next time
	n.report(errors.New("natsengine: others took the node for dead"))
}

// buryUnknown removes the records of nodes that died before this one started. It reports
// whether that is done: it cannot be while this node might not hear who is alive.
func (b *membership) buryUnknown() (done bool) {
	n := b.node
	attached, err := n.ready(n.ctx)
	b.mu.Lock()
	heard := time.Since(b.hearing) > deadAfter
	b.mu.Unlock()
	if err != nil || !heard {
		return false
	}
	query := struct {
		Filter string `json:"subjects_filter"`
	}{string(n.subjects) + "kv.n.*"}
	var answer struct {
		Error *apiError `json:"error"`
		State struct {
			Subjects map[string]uint64 `json:"subjects"`
		} `json:"state"`
	}
	ctx, cancel := context.WithTimeout(n.ctx, 2*beatEvery) // heartbeats wait meanwhile
	defer cancel()
	if err := n.api(ctx, attached, "clean up", "STREAM.INFO."+n.nodes.name, query, &answer); err != nil || answer.Error != nil {
		return false
	}
	for subject := range answer.State.Subjects {
		var id engine.NodeID
		text := subject[strings.LastIndexByte(subject, '.')+1:]
		if bytes, err := hex.DecodeString(text); err != nil || copy(id[:], bytes) != len(id) {
			continue
		}
		if !b.alive(id) {
			b.bury([]engine.NodeID{id})
		}
	}
	return true
}

// leave says goodbye, and removes what the node has put. The node is closed already.
func (b *membership) leave() {
	n := b.node
	if !n.nc.IsConnected() {
		return // the others will notice
	}
	b.send(bye)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	b.purge(ctx, context.Background(), n.self)
	n.nc.FlushWithContext(ctx)
}

// roster is the roster of a node.
type roster struct{ *node }

// Nodes implements [engine.Roster].
func (r roster) Nodes() iter.Seq[engine.NodeID] {
	return func(yield func(engine.NodeID) bool) {
		for _, id := range r.alive() {
			if !yield(id) {
				return
			}
		}
	}
}

func (r roster) alive() []engine.NodeID {
	if !r.opened.Load() || r.ctx.Err() != nil {
		return nil
	}
	r.members.mu.Lock()
	defer r.members.mu.Unlock()
	var ids []engine.NodeID
	for id := range r.members.seen {
		ids = append(ids, id)
	}
	return ids
}

// Put implements [engine.Roster].
func (r roster) Put(ctx context.Context, topic string, members []byte) error {
	attached, err := r.readyFor(ctx, topic)
	if err != nil {
		return err
	}
	m := &nats.Msg{Subject: r.subjects.presence(r.self, topic), Data: members}
	if len(members) == 0 {
		m.Header = nats.Header{"Nats-TTL": {emptyRecordTTL}}
	}
	_, err = r.store(ctx, attached, "put", m)
	return err
}

// List implements [engine.Roster].
func (r roster) List(ctx context.Context, topic string) ([]engine.Members, error) {
	attached, err := r.readyFor(ctx, topic)
	if err != nil {
		return nil, err
	}
	ids := r.alive()
	records := make([]*stored, len(ids))
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() {
			records[i], errs[i] = r.get(ctx, attached, "list", r.nodes, lastBySubject{r.subjects.presence(id, topic)})
		})
	}
	wg.Wait()
	var list []engine.Members
	for i, id := range ids {
		if errs[i] != nil {
			return nil, errs[i]
		}
		if records[i] != nil && len(records[i].Data) > 0 {
			list = append(list, engine.Members{Node: id, Data: records[i].Data})
		}
	}
	return list, nil
}
