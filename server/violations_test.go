package server_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// reaction is what a server does about a message that it cannot accept: nothing,
// a reply of some kind, or the end of the connection.
type reaction struct {
	reply protocol.Kind // zero: none
	id    protocol.ID   // of the reply
	ends  bool
}

// toMalformed says what PROTOCOL.md, section 9, says about a message that breaks
// the version.
func toMalformed(v protocol.Version, msg []byte) reaction {
	var r reaction
	var typ byte
	if len(msg) > 0 {
		typ = msg[0]
	}
	wantsReply := typ == 31 || typ == 32 || typ >= 127 && typ <= 129
	hasID := wantsReply || typ <= 5 || typ == 6 && v == protocol.V1_4 || typ >= 191 && typ <= 193
	if hasID && len(msg) >= 9 {
		r.id = protocol.ID(msg[1:9])
	}
	switch v {
	case protocol.V1_2, protocol.V2_0, protocol.V3_0:
		return reaction{ends: true}
	case protocol.V1_3:
		r.reply = protocol.ReplyInternalError
		return r
	}
	if wantsReply {
		r.reply = protocol.ReplyProtocolError
		return r
	}
	return reaction{}
}

// vectors returns the messages that the published parsers of a variant reject.
func vectors(t *testing.T, variant string) map[string][]byte {
	t.Helper()
	data, err := os.ReadFile("../protocol/testdata/" + variant + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Invalid []struct{ Name, Hex string }
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for _, vec := range file.Invalid {
		if all[vec.Name], err = hex.DecodeString(vec.Hex); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// violated is a server that expects trouble.
type violated struct {
	*server.Server
	gone    chan error
	calls   atomic.Int32  // of OnRequest, but for probes and what waits
	release chan struct{} // lets the requests go on that wait
}

func newViolated(v protocol.Version) *violated {
	s := &violated{gone: make(chan error, 2), release: make(chan struct{})}
	s.Server = server.New(server.Options{
		Version: v,
		Logger:  discard,
		Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				switch r.Name {
				case "wait":
					<-s.release
				case "probe":
				default:
					s.calls.Add(1)
				}
				return echo(ctx, r)
			},
			OnSignal:             func(context.Context, *server.Signal) {},
			OnClientDisconnected: func(_ *server.Conn, reason error) { s.gone <- reason },
		},
	})
	return s
}

// open returns a peer that has got what opens a connection.
func (s *violated) open(t *testing.T, v protocol.Version) *peer {
	t.Helper()
	p := connectDeaf(t, context.Background(), s.Server, v)
	p.listenFor(100)
	if manners.Of(v).Conf {
		if m := p.receive(); m.Kind != protocol.AcceptConf {
			t.Fatalf("the connection begins with a %v", m.Kind)
		}
	}
	return p
}

// check fails the test unless the server reacts to what was sent as expected, and
// just so: either the connection ends, or it works and nothing else arrived.
func (s *violated) check(p *peer, want reaction) {
	p.t.Helper()
	if want.ends {
		ours, theirs := p.over()
		var closed *transport.CloseError
		if !errors.As(ours, &closed) || closed.Status != transport.StatusProtocolError {
			p.t.Fatalf("the connection ended with %v, want status %d", ours, transport.StatusProtocolError)
		}
		if reason := <-s.gone; !errors.Is(theirs, server.ErrProtocolViolation) || !errors.Is(reason, server.ErrProtocolViolation) {
			p.t.Fatalf("ServeConn returned %v, OnClientDisconnected got %v", theirs, reason)
		}
		return
	}
	if want.reply != 0 {
		if m := p.receive(); m.Kind != want.reply || m.ID != want.id {
			p.t.Fatalf("got a %v to %v, want a %v to %v", m.Kind, m.ID, want.reply, want.id)
		}
	}
	s.probe(p)
}

// probe makes sure that the connection works and nothing else arrived.
func (s *violated) probe(p *peer) {
	p.t.Helper()
	p.request(1<<63, "probe", "still there")
	p.reply(1<<63, protocol.Reply)
}

// hangUp ends a connection in good order.
func (s *violated) hangUp(p *peer) {
	p.t.Helper()
	_ = p.conn.Close(transport.StatusNormalClosure, "")
	p.over()
	<-s.gone
}

var variants = map[protocol.Version][]string{
	protocol.V1_2: {"1.2"},
	protocol.V1_3: {"1.3", "1.3b"},
	protocol.V1_4: {"1.4", "1.4b"},
	protocol.V1_5: {"1.5"},
	protocol.V2_0: {"2.0"},
	protocol.V3_0: {"3.0"},
}

// Everything that the published parser of a version rejects gets the reaction of
// that version, once, on a connection that works before and, where it should, after.
func TestMalformedVectors(t *testing.T) {
	for v, names := range variants {
		for _, variant := range names {
			for name, msg := range vectors(t, variant) {
				if _, err := v.Parse(msg); err == nil {
					continue // the other variant of the version accepts it
				}
				t.Run(variant+"/"+name, func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						s := newViolated(v)
						p := s.open(t, v)
						s.probe(p)
						p.sendRaw(msg)
						s.check(p, toMalformed(v, msg))
						if s.calls.Load() != 0 {
							t.Error("the message reached the handler")
						}
					})
				})
			}
		}
	}
}

// Whoever sends malformed messages all the time is read slowly, and is served nevertheless.
func TestManyMalformedMessages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newViolated(protocol.V1_4)
		p := s.open(t, protocol.V1_4)
		taking := func(malformed int) time.Duration {
			began := time.Now()
			for range malformed {
				p.sendRaw([]byte{1})
			}
			s.probe(p)
			return time.Since(began)
		}
		if took := taking(100); took > 0 {
			t.Errorf("100 at once are too many: %v", took)
		}
		if took := taking(500); took != 5*time.Second {
			t.Errorf("500 more take %v, want 10 ms each", took)
		}
		time.Sleep(time.Minute)
		if took := taking(100); took > 0 {
			t.Errorf("they are not forgotten: %v", took)
		}
		s.hangUp(p)
	})
}
