package server_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

// A client that is too slow for the message about its session loses its connection. Once it
// kept it without a session, and the previous connection had lost the session.
func TestSessionForSlowConsumer(t *testing.T) {
	for _, create := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			failed, reasons := make(chan error, 1), make(chan error, 2)
			srv := server.New(server.Options{
				Version: protocol.V3_0, OutboxSize: 4096, MaxSessionConns: 1, SessionPolicy: server.ReplaceOldest, Logger: discard,
				Hooks: server.Hooks{
					OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
						s, err := r.Conn.CreateSession(ctx, nil)
						if err != nil {
							failed <- err
						}
						return protocol.Text(s.Key), err
					},
					OnSignal: func(_ context.Context, s *server.Signal) {
						go func() {
							ctx, cancel := context.WithTimeout(s.Conn.Context(), time.Second)
							defer cancel()
							for s.Conn.Signal(ctx, "s", protocol.Text("x")) == nil {
							}
						}()
					},
					OnClientDisconnected: func(_ *server.Conn, reason error) { reasons <- reason },
				},
			})
			owner := connect(t, srv, protocol.V3_0)
			owner.request(1, "login", "x")
			owner.receive()
			key := owner.reply(1, protocol.Reply).Payload.Text()
			slow := connectDeaf(t, context.Background(), srv, protocol.V3_0)
			slow.signal("fill", "x")
			synctest.Wait()
			if create {
				slow.request(1, "login", "x")
				if err := <-failed; !errors.Is(err, server.ErrConnClosed) {
					t.Errorf("CreateSession: %v", err)
				}
				if reason := <-reasons; !errors.Is(reason, server.ErrSlowConsumer) {
					t.Errorf("the connection ended because %v", reason)
				}
			} else {
				slow.send(protocol.Message{Kind: protocol.RestoreSession, ID: protocol.NewID(1), Payload: protocol.Text(key)})
				if reason := errors.Join(<-reasons, <-reasons); !errors.Is(reason, server.ErrSessionReplaced) || !errors.Is(reason, server.ErrSlowConsumer) {
					t.Errorf("the connections ended because %v", reason)
				}
			}
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
