package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
)

// handoverVersion is the version of what nodes tell one another about a connection that
// moves. It is the first byte of each question. A node that does not know the version of a
// question refuses it, and the connection does not move.
const handoverVersion = 3

var (
	errForm        = errors.New("server: malformed hand-over")
	errFormVersion = errors.New("server: hand-over of another version")
)

// move is a connection as one node hands it over to another.
type move struct {
	link    link.State
	running []protocol.ID // requests whose handlers run on at the node itself
	queued  [][]byte      // messages that were received and not begun, in order
	origins []originState // where other handlers run
	members []*membership

	session *session.Session // nil: none
	stored  infoHash         // of the info in the store, as far as the node knows
	made    bool             // by CreateSession
	joined  uint64           // number of the join

	connected time.Time
	expires   time.Time // zero: never
	userAgent string
	spoke     bool
	fails     uint32
}

// originState is an origin on the way.
type originState struct {
	node    engine.NodeID
	conn    protocol.ConnID // at the node
	offset  uint64          // of what it has sent
	running []protocol.ID
	asked   []protocol.ID
}

// membership is a member of a topic on the way.
type membership struct {
	topic    string
	ref      uint32
	watching bool
	info     []byte
	id       string          // of its presence; empty: the topic has none
	at       engine.Position // up to here everything has been sent; zero: not known

	departure *departure   // from this node; nil: there is none
	reserved  *reservation // of ref, at this node; nil: not yet
	parted    bool         // by Topic.Leave, since it began to move
}

// form writes the parts of questions and answers: numbers are little endian, lists begin
// with their length.
type form []byte

func (f *form) u8(v byte)    { *f = append(*f, v) }
func (f *form) u32(v uint32) { *f = binary.LittleEndian.AppendUint32(*f, v) }
func (f *form) u64(v uint64) { *f = binary.LittleEndian.AppendUint64(*f, v) }
func (f *form) bool(v bool)  { f.u8(map[bool]byte{true: 1}[v]) }
func (f *form) raw(b []byte) { *f = append(*f, b...) }

func (f *form) bytes(b []byte) {
	f.u32(uint32(len(b)))
	f.raw(b)
}

func (f *form) time(t time.Time) {
	if t.IsZero() {
		f.u64(0)
		return
	}
	f.u64(uint64(t.UnixNano()))
}

func (f *form) ids(ids []protocol.ID) {
	f.u32(uint32(len(ids)))
	for _, id := range ids {
		f.raw(id[:])
	}
}

// encode returns the form of m.
func (m *move) encode() []byte {
	var f form
	f.u64(m.link.Received)
	f.u64(m.link.Requests)
	f.ids(m.link.Asked)
	o := &m.link.Outbox
	f.u64(o.Acked)
	f.u64(o.First)
	f.u64(o.LateFailed)
	f.u32(uint32(len(o.Kept)))
	for _, msg := range o.Kept {
		f.bytes(msg)
	}
	f.u32(uint32(len(o.Late)))
	for _, late := range o.Late {
		f.u64(late.Number)
		f.bytes(late.Message)
	}
	f.u32(uint32(len(o.Items)))
	for _, item := range o.Items {
		f.raw(item.ID[:])
		f.u64(item.Number)
	}
	f.ids(o.Broken)
	f.ids(m.running)
	f.u32(uint32(len(m.queued)))
	for _, msg := range m.queued {
		f.bytes(msg)
	}
	f.u32(uint32(len(m.origins)))
	for _, from := range m.origins {
		f.raw(from.node[:])
		f.raw(from.conn[:])
		f.u64(from.offset)
		f.ids(from.running)
		f.ids(from.asked)
	}
	f.u32(uint32(len(m.members)))
	for _, member := range m.members {
		f.bytes([]byte(member.topic))
		f.u32(member.ref)
		f.bool(member.watching)
		f.bytes(member.info)
		f.bytes([]byte(member.id))
		f.u64(member.at.Epoch)
		f.u64(member.at.Offset)
	}
	f.bool(m.session != nil)
	if s := m.session; s != nil {
		f.bytes([]byte(s.Key))
		f.time(s.Created)
		f.time(s.LastSeen)
		f.bytes(s.Info)
		f.raw(m.stored[:])
		f.bool(m.made)
		f.u64(m.joined)
	}
	f.time(m.connected)
	f.time(m.expires)
	f.bytes([]byte(m.userAgent))
	f.bool(m.spoke)
	f.u32(m.fails)
	return f
}

// decodeMove returns what encode made. It retains data. The error wraps errForm.
func decodeMove(data []byte) (*move, error) {
	r := formReader{rest: data}
	m := &move{}
	m.link.Received, m.link.Requests, m.link.Asked = r.u64(), r.u64(), r.ids()
	o := &m.link.Outbox
	o.Acked, o.First, o.LateFailed = r.u64(), r.u64(), r.u64()
	for range r.count(4) {
		o.Kept = append(o.Kept, r.bytes())
	}
	for range r.count(12) {
		o.Late = append(o.Late, outbox.Late{Number: r.u64(), Message: r.bytes()})
	}
	for range r.count(16) {
		o.Items = append(o.Items, outbox.Item{ID: r.id(), Number: r.u64()})
	}
	o.Broken, m.running = r.ids(), r.ids()
	for range r.count(4) {
		m.queued = append(m.queued, r.bytes())
	}
	for range r.count(8 + 16 + 8 + 4 + 4) {
		m.origins = append(m.origins, originState{
			node: r.node(), conn: r.conn(), offset: r.u64(), running: r.ids(), asked: r.ids(),
		})
	}
	for range r.count(4 + 4 + 1 + 4 + 4 + 16) {
		m.members = append(m.members, &membership{
			topic: string(r.bytes()), ref: r.u32(), watching: r.bool(),
			info: bytes.Clone(r.bytes()), id: string(r.bytes()), // all of m would be kept for the info
			at: engine.Position{Epoch: r.u64(), Offset: r.u64()},
		})
	}
	if r.bool() {
		m.session = &session.Session{Key: string(r.bytes()), Created: r.time(), LastSeen: r.time(), Info: r.bytes()}
		m.stored, m.made, m.joined = r.hash(), r.bool(), r.u64()
	}
	m.connected, m.expires, m.userAgent = r.time(), r.time(), string(r.bytes())
	m.spoke, m.fails = r.bool(), r.u32()
	if err := r.end(); err != nil {
		return nil, err
	}
	if o.First == 0 || o.Acked >= o.Next() || o.LateFailed >= o.Next() || o.Next() < o.First {
		return nil, fmt.Errorf("%w: the numbers of its messages", errForm)
	}
	return m, nil
}

// formReader reads what form wrote. After an error it returns zeros.
type formReader struct {
	rest []byte
	bad  bool
}

func (r *formReader) take(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.bad, r.rest = true, nil
		return make([]byte, 32)[:min(max(n, 0), 32)]
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *formReader) u8() byte              { return r.take(1)[0] }
func (r *formReader) u32() uint32           { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *formReader) u64() uint64           { return binary.LittleEndian.Uint64(r.take(8)) }
func (r *formReader) id() protocol.ID       { return protocol.ID(r.take(8)) }
func (r *formReader) node() engine.NodeID   { return engine.NodeID(r.take(8)) }
func (r *formReader) conn() protocol.ConnID { return protocol.ConnID(r.take(16)) }
func (r *formReader) hash() infoHash        { return infoHash(r.take(len(infoHash{}))) }

func (r *formReader) bool() bool {
	v := r.u8()
	r.bad = r.bad || v > 1
	return v == 1
}

// bytes returns nil if there are none.
func (r *formReader) bytes() []byte {
	n := r.u32()
	if n == 0 {
		return nil
	}
	if uint64(n) > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	return r.take(int(n))
}

// count returns the length of a list whose elements have at least size bytes.
func (r *formReader) count(size int) int {
	n := r.u32()
	if uint64(n)*uint64(size) > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return 0
	}
	return int(n)
}

func (r *formReader) ids() (ids []protocol.ID) {
	for range r.count(8) {
		ids = append(ids, r.id())
	}
	return ids
}

func (r *formReader) time() time.Time {
	if at := r.u64(); at != 0 {
		return time.Unix(0, int64(at))
	}
	return time.Time{}
}

// end returns an error unless everything was read, and nothing else was there.
func (r *formReader) end() error {
	if r.bad || len(r.rest) > 0 {
		return errForm
	}
	return nil
}
