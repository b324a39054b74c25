package server_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
)

// Keys that do not exist may be tried a few times only. To ask again and again for
// one that does, until there is room, is no attempt to find one: it ended the
// connection too once.
func TestOnlyUnknownKeysCountAsTries(t *testing.T) {
	restore := func(id uint64, key string) protocol.Message {
		return protocol.Message{Kind: protocol.RestoreSession, ID: protocol.NewID(id), Payload: protocol.Text(key)}
	}
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{MaxSessionConns: 1, SessionPolicy: server.RefuseNewest, Logger: discard, Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
				s, err := r.Conn.CreateSession(ctx, nil)
				return protocol.Text(s.Key), err
			},
		}})
		owner := connect(t, srv, protocol.V1_2)
		owner.request(1, "login", "x")
		owner.receive()
		key := owner.reply(1, protocol.Reply).Payload.Text()

		p := connect(t, srv, protocol.V1_2)
		for i := range uint64(20) {
			p.send(restore(i, key))
			p.reply(i, protocol.ReplySessionFull)
		}
		for i := range uint64(5) {
			p.send(restore(i, "unknown"))
			p.reply(i, protocol.ReplySessionNotFound)
		}
		if _, theirs := p.over(); !errors.Is(theirs, server.ErrTooManyRestores) {
			t.Errorf("ended with %v", theirs)
		}
	})
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{DisableSessions: true})
		p := connect(t, srv, protocol.V1_2)
		for i := range uint64(20) {
			p.send(restore(i, "key"))
			p.reply(i, protocol.ReplySessionsDisabled)
		}
	})
}

// loads counts how often a store was asked.
type loads struct {
	session.MemoryStore
	n atomic.Int64
}

func (s *loads) Load(ctx context.Context, key string) (session.Session, error) {
	s.n.Add(1)
	return s.MemoryStore.Load(ctx, key)
}

// Keys that are sent together are not all tried.
func TestTriesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := &loads{}
		srv := server.New(server.Options{Sessions: store, Logger: discard})
		p := connect(t, srv, protocol.V1_2)
		var msgs [][]byte
		for i := range uint64(1000) {
			b, err := p.version.Append(nil, protocol.Message{Kind: protocol.RestoreSession, ID: protocol.NewID(i + 1), Payload: protocol.Text("unknown")})
			if err != nil {
				t.Fatal(err)
			}
			msgs = append(msgs, b)
		}
		if err := p.conn.Write(msgs...); err != nil {
			t.Fatal(err)
		}
		if _, theirs := p.over(); !errors.Is(theirs, server.ErrTooManyRestores) {
			t.Errorf("got %v", theirs)
		}
		if n := store.n.Load(); n != 5 {
			t.Errorf("%d keys were tried", n)
		}
	})
}
