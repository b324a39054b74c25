package server_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// expected says what the server of newViolated does about any message.
func expected(v protocol.Version, msg []byte) reaction {
	m, err := v.Parse(msg)
	if err != nil {
		return toMalformed(v, msg)
	}
	r := reaction{id: m.ID}
	switch m.Kind {
	case protocol.Request, protocol.CloseSession:
		r.reply = protocol.Reply
	case protocol.RestoreSession:
		r.reply = v.Failure(m.ID, protocol.ErrSessionNotFound).Kind
	case protocol.Subscribe:
		if _, err := m.Subscribe(); err != nil {
			return reaction{ends: true}
		}
		r.reply = protocol.ReplyFailure
	case protocol.Signal, protocol.Heartbeat:
		return reaction{}
	case protocol.Ack: // the server has sent nothing that is counted, or less
		return reaction{ends: m.Number > 1<<20}
	case protocol.ReplyFailure:
		_, err := m.Failure()
		return reaction{ends: err != nil}
	default: // misdirected
		if v >= protocol.V3_0 {
			return reaction{ends: !v.FromClient(m.Kind) || m.Kind == protocol.Hello}
		}
		return reaction{ends: v == protocol.V1_2 && msg[0] >= 1 && msg[0] <= 5}
	}
	return r
}

// Every type byte and length gets what the version says, and nothing else.
func TestEveryTypeAndLength(t *testing.T) {
	for _, v := range protocol.Versions() {
		t.Run(v.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newViolated(v)
				p := s.open(t, v)
				for typ := range 256 {
					for length := range 65 {
						if length == 0 && typ > 0 || !known(v, byte(typ)) && length != 1 && length != 9 && length != 64 {
							continue // seen already, or seen enough
						}
						for _, fill := range []byte{0, 3, 'a'} {
							msg := make([]byte, length)
							for i := range msg {
								msg[i] = fill
							}
							if length > 0 {
								msg[0] = byte(typ)
							}
							want := expected(v, msg)
							p.sendRaw(msg)
							s.check(p, want)
							switch {
							case want.ends:
								p = s.open(t, v)
							case typ == 32: // too many of these end it
								s.hangUp(p)
								p = s.open(t, v)
							}
						}
					}
				}
			})
		})
	}
}

func known(v protocol.Version, typ byte) bool {
	m, _ := v.Parse([]byte{typ})
	return m.Kind != 0
}

// Whatever arrives, the connection works afterwards or has ended for a reason.
func TestRandomBytes(t *testing.T) {
	for _, v := range protocol.Versions() {
		t.Run(v.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(1, uint64(v.Minor())))
				s := newViolated(v)
				for range 100 {
					p := s.open(t, v)
					for range 1 + rng.IntN(20) {
						msg := make([]byte, rng.IntN(40))
						for i := range msg {
							msg[i] = byte(rng.Uint32())
						}
						if len(msg) > 0 && rng.IntN(2) == 0 {
							msg[0] = kinds[rng.IntN(len(kinds))]
						}
						if p.conn.Write(msg) != nil {
							break
						}
					}
					if p.conn.Write(probe(t, v)) != nil || !answered(p) {
						reason := <-s.gone
						if !errors.Is(reason, server.ErrProtocolViolation) && !errors.Is(reason, server.ErrTooManyRestores) {
							t.Fatalf("the connection ended with %v", reason)
						}
						p.over()
						continue
					}
					s.hangUp(p)
				}
				if n := s.Stats().Open; n != 0 {
					t.Errorf("%d connections are left", n)
				}
			})
		})
	}
}

var kinds = []byte{0, 1, 5, 6, 8, 9, 10, 11, 12, 13, 21, 22, 23, 24, 25, 31, 32, 33, 34, 35, 63, 64, 65, 66, 67, 68, 69, 72, 127, 128, 129, 191, 192, 193}

func probe(t *testing.T, v protocol.Version) []byte {
	msg, err := v.Append(nil, protocol.Message{
		Kind: protocol.Request, ID: protocol.NewID(1 << 63), Name: "probe", Payload: protocol.Text("x"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// answered reports whether the probe was answered, rather than the connection ended.
func answered(p *peer) bool {
	for m := range p.got {
		if m.ID.Uint64() == 1<<63 {
			return true
		}
	}
	return false
}

// Requests of the same id are served each for itself; the server keeps no ids.
func TestDuplicateIDs(t *testing.T) {
	for _, v := range protocol.Versions() {
		bubble(t, func(t *testing.T) {
			s := newViolated(v)
			p := s.open(t, v)
			for range 3 {
				p.request(7, "same", "x")
			}
			for range 3 {
				p.reply(7, protocol.Reply)
			}
			s.probe(p)
			if n := s.calls.Load(); n != 3 {
				t.Errorf("%v: %d calls", v, n)
			}
		})
	}
}

// What only servers send is ignored, except by 3.0, and for what 1.2 does not know its
// clients to parse; whatever it replies to, there is nothing to be settled.
func TestMisdirected(t *testing.T) {
	id := protocol.NewID(1)
	for _, v := range protocol.Versions() {
		for _, m := range []protocol.Message{
			{Kind: protocol.Reply, ID: id, Payload: protocol.Text("x")},
			{Kind: protocol.Reply, ID: id},
			{Kind: protocol.ReplyError, ID: id, Name: "CODE", Payload: protocol.Text("x")},
			{Kind: protocol.ReplyShutdown, ID: id},
			{Kind: protocol.ReplySessionsDisabled, ID: id},
			{Kind: protocol.ReplyProtocolError, ID: id},
			protocol.V3_0.Failure(id, protocol.ErrShutdown),
			{Kind: protocol.Item, ID: id, Payload: protocol.Text("x")},
			protocol.WelcomeBody{From: 1}.Message(),
			{Kind: protocol.Publication, Ref: 1, Name: "n"},
			{Kind: protocol.Presence, Ref: 1, Payload: protocol.Bytes([]byte{2})},
			{Kind: protocol.SessionCreated, Payload: protocol.Text("{}")},
			{Kind: protocol.SessionClosed},
			protocol.Conf{Version: v}.Message(),
		} {
			msg, err := v.Append(nil, m)
			if err != nil {
				continue // the version has no such message
			}
			t.Run(fmt.Sprint(v, " ", m.Kind), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					s := newViolated(v)
					p := s.open(t, v)
					p.sendRaw(msg)
					want := expected(v, msg)
					s.check(p, want)
					if !want.ends && s.Stats().Dropped != 1 {
						t.Errorf("%d messages were dropped, want 1", s.Stats().Dropped)
					}
				})
			})
		}
	}
}

// The published servers answered what comes during a shutdown and executed it too,
// or not at all.
func TestEverythingDuringShutdown(t *testing.T) {
	for _, v := range protocol.Versions() {
		t.Run(v.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newViolated(v)
				busy, p := s.open(t, v), s.open(t, v)
				busy.request(1, "wait", "x")
				busy.quiet()
				shut := make(chan error, 1)
				go func() { shut <- s.Shutdown(t.Context()) }()
				busy.quiet()
				if v >= protocol.V3_0 {
					time.Sleep(6 * time.Second) // clients may move until then
				}
				for _, m := range []protocol.Message{
					{Kind: protocol.Request, ID: protocol.NewID(1), Name: "n", Payload: protocol.Text("x")},
					{Kind: protocol.CloseSession, ID: protocol.NewID(2)},
					{Kind: protocol.RestoreSession, ID: protocol.NewID(3), Payload: protocol.Text("key")},
				} {
					p.send(m)
					p.reply(m.ID.Uint64(), v.Failure(m.ID, protocol.ErrShutdown).Kind)
					p.quiet() // once
				}
				p.signal("s", "x")
				bad := []byte{128, 4, 0, 0, 0, 0, 0, 0, 0}
				p.sendRaw(bad)
				if want := toMalformed(v, bad); want.ends {
					p.over()
				} else {
					p.reply(4, want.reply)
				}
				busy.quiet()
				if n := s.calls.Load(); n != 0 {
					t.Errorf("%d requests were handled", n)
				}
				close(s.release)
				busy.reply(1, protocol.Reply)
				if err := <-shut; err != nil {
					t.Error(err)
				}
				ours, theirs := busy.over()
				var closed *transport.CloseError
				if !errors.As(ours, &closed) || closed.Status != transport.StatusGoingAway || !errors.Is(theirs, server.ErrServerClosed) {
					t.Errorf("ended with %v, %v", ours, theirs)
				}
			})
		})
	}
}
