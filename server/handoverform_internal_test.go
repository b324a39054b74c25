package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/outbox"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
)

func fullMove() *move {
	id := protocol.NewID
	return &move{
		link: link.State{
			Received: 5, Requests: 6, Asked: []protocol.ID{id(7)},
			Outbox: outbox.State{
				Acked: 8, First: 9, Kept: [][]byte{[]byte("a"), []byte("bc")}, LateFailed: 4,
				Late:   []outbox.Late{{Number: 8, Message: []byte("late")}},
				Items:  []outbox.Item{{ID: id(3), Number: 2}},
				Broken: []protocol.ID{id(1), id(2)},
			},
		},
		running:   []protocol.ID{id(11)},
		queued:    [][]byte{[]byte("queued")},
		origins:   []originState{{node: engine.NodeID{1}, conn: protocol.ConnID{2}, offset: 3, running: []protocol.ID{id(4)}, asked: []protocol.ID{id(5)}}},
		members:   []*membership{{topic: "room", ref: 1, watching: true, info: []byte("{}"), id: "a.1", at: engine.Position{Epoch: 1, Offset: 2}}, {topic: "hall"}},
		session:   &session.Session{Key: "key", Created: time.Unix(1, 2), LastSeen: time.Unix(3, 4), Info: json.RawMessage(`{"a":1}`)},
		stored:    infoHash{1, 2, 3},
		made:      true,
		joined:    99,
		connected: time.Unix(5, 6),
		expires:   time.Unix(7, 8),
		userAgent: "agent",
		spoke:     true,
		fails:     2,
	}
}

func TestHandoverForm(t *testing.T) {
	for _, m := range []*move{fullMove(), {link: link.State{Outbox: outbox.State{First: 1}}}} {
		data := m.encode()
		got, err := decodeMove(data)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%+v, %v\nwant %+v", got, err, m)
		}
		for i := range data {
			if _, err := decodeMove(data[:i]); err == nil {
				t.Errorf("%d of %d bytes are a hand-over", i, len(data))
			}
		}
		if _, err := decodeMove(append(data, 0)); err == nil {
			t.Error("there is something after the end")
		}
	}
}

// A member keeps its info as long as it lives, and nothing else of the hand-over.
func TestHandoverFormInfo(t *testing.T) {
	data := fullMove().encode()
	m, err := decodeMove(data)
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	if info := m.members[0].info; string(info) != "{}" {
		t.Errorf("the info is a part of the hand-over: %q", info)
	}
}

// A node of another version is refused, and nothing happens whatever the rest says.
func TestHandoverVersion(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	for version, want := range map[byte]error{handoverVersion - 1: errFormVersion, handoverVersion + 1: errFormVersion, handoverVersion: errForm} {
		q := handoverQuestion(opTake, protocol.ConnID{1})
		q[0] = version
		if _, err := (*inlet)(&s.topics).Asked(t.Context(), engine.NodeID{}, append([]byte{byte(questionHandover)}, q...)); !errors.Is(err, want) {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

func FuzzHandoverForm(f *testing.F) {
	f.Add(fullMove().encode())
	f.Add((&move{link: link.State{Outbox: outbox.State{First: 1}}}).encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeMove(data)
		if err != nil {
			return
		}
		if again := m.encode(); !bytes.Equal(again, data) {
			t.Errorf("%x becomes %x", data, again)
		}
	})
}
