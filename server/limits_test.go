package server_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// stuffed sends until the server takes no more, and returns how many it took.
func stuffed(t *testing.T, p *peer, msg []byte) (taken int) {
	t.Helper()
	stop := errors.New("stop")
	done := make(chan error, 1)
	go func() {
		for {
			if err := p.conn.Write(msg); err != nil {
				done <- stop
				return
			}
			if taken++; taken > 1<<20 {
				done <- errors.New("the server takes everything")
				return
			}
		}
	}()
	synctest.Wait()
	select {
	case err := <-done:
		t.Fatal(err)
	default:
	}
	return taken
}

// A slow signal handler does not stop the reading before the inbox is full, and
// does then: the peer is slowed down, and loses nothing.
func TestInbox(t *testing.T) {
	bubble(t, func(t *testing.T) {
		step := make(chan struct{})
		handled := 0
		srv := server.New(server.Options{InboxSize: 100_000, WriteTimeout: 24 * time.Hour, Hooks: server.Hooks{
			OnSignal: func(context.Context, *server.Signal) {
				<-step
				handled++
			},
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil },
		}})
		p := connectWith(t, context.Background(), srv, protocol.V1_2, transport.Limits{WriteTimeout: 24 * time.Hour})
		p.listen()
		msg, err := p.version.Append(nil, protocol.Message{Kind: protocol.Signal, Payload: protocol.Bytes(make([]byte, 10_000))})
		if err != nil {
			t.Fatal(err)
		}
		taken := stuffed(t, p, msg)
		if taken < 10 || taken > 10+2+7 { // the inbox, one in the reader's hands, and the pipe
			t.Errorf("%d signals of 10 kB fit an inbox of 100 kB", taken)
		}
		if n := int(srv.Stats().Received); n < 10 || n > 11 {
			t.Errorf("%d signals were received", n)
		}
		for range 5 {
			step <- struct{}{}
		}
		synctest.Wait()
		if n := int(srv.Stats().Received); n < 15 || n > 16 {
			t.Errorf("%d signals were received after 5 were handled", n)
		}
		p.conn.Abort()
		close(step)
		p.wait()
	})
}

// Small messages, and such without any content, fill the inbox too: what waits
// costs more memory than its bytes.
func TestInboxOfSmallMessages(t *testing.T) {
	for name, msg := range map[string]protocol.Message{
		"signals":  {Kind: protocol.Signal, Payload: protocol.Text("x")},
		"requests": {Kind: protocol.Request, ID: protocol.NewID(1), Payload: protocol.Text("x")},
		"closes":   {Kind: protocol.CloseSession, ID: protocol.NewID(1)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				release := make(chan struct{})
				srv := server.New(server.Options{InboxSize: 1 << 20, ReadTimeout: 24 * time.Hour, Hooks: server.Hooks{
					OnSignal: func(context.Context, *server.Signal) { <-release },
				}})
				p := connectWith(t, context.Background(), srv, protocol.V1_2, transport.Limits{WriteTimeout: 24 * time.Hour})
				p.listen()
				p.signal("block", "x")
				b, err := p.version.Append(nil, msg)
				if err != nil {
					t.Fatal(err)
				}
				before := heap()
				taken := stuffed(t, p, b)
				if grown := heap() - before; grown > 4<<20 {
					t.Errorf("%d messages wait in %d bytes", taken, grown)
				}
				p.conn.Abort()
				close(release)
				p.wait()
			})
		})
	}
}

// Metadata fills the inbox as payloads do.
func TestInboxOfMetadata(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		srv := server.New(server.Options{Version: protocol.V3_0, InboxSize: 100_000, ReadTimeout: 24 * time.Hour, ResumeWindow: -1, Hooks: server.Hooks{
			OnSignal: func(context.Context, *server.Signal) { <-release },
		}})
		p := connectWith(t, context.Background(), srv, protocol.V3_0, transport.Limits{WriteTimeout: 24 * time.Hour})
		p.listen()
		head := protocol.Head{}.AppendMetadata("k", strings.Repeat("v", 8000))
		msg, err := p.version.Append(nil, protocol.Message{Kind: protocol.Signal, Head: head, Name: "s"})
		if err != nil {
			t.Fatal(err)
		}
		if taken := stuffed(t, p, msg); taken < 12 || taken > 12+2+8 { // as in TestInbox
			t.Errorf("%d signals with 8 kB of metadata fit an inbox of 100 kB", taken)
		}
		p.conn.Abort()
		close(release)
		p.wait()
	})
}

// heap returns the bytes in use.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestMessageTooBig(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{MaxMessageSize: 1024, Hooks: server.Hooks{OnRequest: echo}})
		p := connect(t, srv, protocol.V1_2)
		p.request(1, "", string(make([]byte, 1014))) // 10 bytes come before the payload
		p.reply(1, protocol.Reply)
		p.request(2, "", string(make([]byte, 1015)))
		ours, theirs := p.over()
		for _, err := range []error{ours, theirs} {
			var closed *transport.CloseError
			if !errors.As(err, &closed) || closed.Status != transport.StatusMessageTooBig {
				t.Errorf("got %v", err)
			}
		}
	})
}

// What a 2.0 client takes is what it was told, to the byte.
func TestReplyOfTheGreatestSize(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{MaxMessageSize: 1024, Version: protocol.V2_0, Logger: discard, Hooks: server.Hooks{
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				return protocol.Bytes(make([]byte, len(r.Payload.Data)+1)), nil
			},
		}})
		p := connect(t, srv, protocol.V2_0)
		if conf, err := p.receive().Conf(); err != nil || conf.MessageSize != 1024 {
			t.Fatal(conf, err)
		}
		p.request(1, "", string(make([]byte, 1014)))
		if m := p.reply(1, protocol.Reply); len(m.Payload.Data) != 1015 { // 9 bytes come before it
			t.Errorf("%d bytes", len(m.Payload.Data))
		}
		c := grab(t, srv)
		if err := c.Signal(t.Context(), "", protocol.Bytes(make([]byte, 1022))); err != nil {
			t.Error(err)
		}
		p.receive()
		if err := c.Signal(t.Context(), "", protocol.Bytes(make([]byte, 1023))); err == nil {
			t.Error("a signal of 1025 bytes was sent")
		}
		p.quiet()
	})
}

// A peer that does not read costs no more than OutboxSize, and its connection once
// a write made no progress for WriteTimeout.
func TestPeerThatDoesNotRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		reason := make(chan error, 1)
		srv := server.New(server.Options{OutboxSize: 1 << 20, WriteTimeout: 7 * time.Second, Hooks: server.Hooks{
			OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
				return protocol.Bytes(make([]byte, 100_000)), nil
			},
			OnClientDisconnected: func(_ *server.Conn, err error) { reason <- err },
		}})
		before := heap()
		p := connectDeaf(t, context.Background(), srv, protocol.V1_2)
		began := time.Now()
		for i := range uint64(1000) {
			p.request(i, "r", "x")
		}
		synctest.Wait()
		// The outbox, the batch that is being written, and a reply in the hands of each handler.
		if grown := heap() - before; grown > 1<<20+256<<10+64*110_000+1<<20 {
			t.Errorf("a peer that does not read costs %d bytes", grown)
		}
		if err := <-reason; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took < 7*time.Second || took > 7*time.Second*9/8 {
			t.Errorf("cut after %v", took)
		}
		p.wait()
		if st := srv.Stats(); st.Open != 0 || st.InFlight != 0 {
			t.Errorf("left behind: %+v", st)
		}
	})
}

// Long replies that a peer does not read, or reads slowly, hold further handlers back: what
// they would return has no room.
func TestLongRepliesHoldHandlersBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var handled atomic.Int32
		srv := server.New(server.Options{Hooks: server.Hooks{
			OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
				handled.Add(1)
				return protocol.Bytes(make([]byte, 2<<20)), nil
			},
		}})
		p := connectDeaf(t, context.Background(), srv, protocol.V1_2)
		for id := range uint64(50) {
			p.request(id+1, "r", "x")
			synctest.Wait()
		}
		for read := range int32(50) {
			// At least one is being written.
			if n := handled.Load() - read; n < 1 || n > 5 {
				t.Errorf("%d handlers have returned 2 MiB, and the peer has read %d", handled.Load(), read)
			}
			b, err := p.conn.Read(nil)
			if err != nil || len(b) < 2<<20 {
				t.Fatal(len(b), err)
			}
			synctest.Wait()
		}
		if n := handled.Load(); n != 50 {
			t.Errorf("%d of 50 requests were handled", n)
		}
	})
}

// Handlers that run already when the first of them has a long reply hold one each, and no
// other handler starts before the peer has read those.
func TestLongRepliesOfHandlersThatRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const concurrency, requests, long = 16, 30, 128 << 10
		var started, returned atomic.Int32
		release := make(chan struct{})
		srv := server.New(server.Options{Concurrency: concurrency, InboxSize: long / 2, OutboxSize: long / 2, Hooks: server.Hooks{
			OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
				started.Add(1)
				<-release
				returned.Add(1)
				return protocol.Bytes(make([]byte, long)), nil
			},
		}})
		p := connectDeaf(t, context.Background(), srv, protocol.V1_2)
		for id := range uint64(requests) {
			p.request(id+1, "r", "x")
		}
		synctest.Wait()
		close(release)
		synctest.Wait()
		if n := started.Load(); n != concurrency {
			t.Errorf("%d handlers were started", n)
		}
		for read := range int32(requests) {
			most := max(int32(concurrency)-read, 5)
			if n := returned.Load() - read; n > most {
				t.Errorf("%d long replies wait when the peer has read %d, want at most %d", n, read, most)
			}
			b, err := p.conn.Read(nil)
			if err != nil || len(b) < long {
				t.Fatal(len(b), err)
			}
			synctest.Wait()
		}
	})
}

// A client that negotiated 2.0 takes messages of any length that its own limit allows.
func TestNegotiatedClientsGetLongReplies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := server.New(server.Options{MaxMessageSize: 1000, Hooks: server.Hooks{
			OnRequest: func(context.Context, *server.Request) (protocol.Payload, error) {
				return protocol.Bytes(make([]byte, 5000)), nil
			},
		}})
		p := attach(t, protocol.V2_0, transport.Limits{}, srv.AcceptOptions(), func(conn transport.Conn) error {
			return srv.ServeConn(context.Background(), agreed{conn, "webwire-2.0"})
		})
		p.listen()
		p.receive()
		p.request(1, "r", "x")
		if n := len(p.reply(1, protocol.Reply).Payload.Data); n != 5000 {
			t.Errorf("%d bytes", n)
		}
	})
}
