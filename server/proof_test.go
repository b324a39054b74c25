package server_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
)

// Only who knows id and secret goes on with a connection, and failed attempts do not harm
// it.
func TestProofs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := resuming(server.Hooks{OnRequest: echo})
		p, w := first(t, srv)
		if w.Window != 2*time.Minute || w.Ring != 256<<10 || w.From != 1 || w.Secret == (protocol.Secret{}) {
			t.Errorf("welcome is %+v", w)
		}
		p.lose()
		for name, change := range map[string]func(*protocol.Resume){
			"another secret": func(r *protocol.Resume) { r.Secret[15] ^= 1 },
			"no secret":      func(r *protocol.Resume) { r.Secret = protocol.Secret{} },
			"another id":     func(r *protocol.Resume) { r.Conn[0] ^= 1 },
		} {
			guess := claim(w, 9, 0)
			change(&guess)
			p, _ := refused(t, srv, guess, protocol.OutcomeExpired)
			p.request(1, "", name)
			p.reply(1, protocol.Reply)
		}
		// Their attempts do not count.
		p, _ = back(t, srv, claim(w, 1, 0))
		p.request(1, "", "x")
		p.reply(1, protocol.Reply)
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Each attempt has a higher number than the one before, also if that was refused or its
// welcome was lost.
func TestAttempts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := resuming(server.Hooks{})
		p, w := first(t, srv)
		p.lose()
		refused(t, srv, claim(w, 0, 0), protocol.OutcomeTaken)
		p, w = back(t, srv, claim(w, 7, 0))
		p.lose()
		refused(t, srv, claim(w, 7, 0), protocol.OutcomeTaken)
		refused(t, srv, claim(w, 6, 0), protocol.OutcomeTaken)
		back(t, srv, claim(w, 8, 0))
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

// The secret before the last one is good until something arrives that shows that the
// client may have the last one.
func TestWelcomeLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := resuming(server.Hooks{OnRequest: echo})
		p, w := first(t, srv)
		p.lose()
		var lost protocol.WelcomeBody
		for attempt := uint32(1); attempt <= 3; attempt++ {
			p, lost = back(t, srv, claim(w, attempt, 0))
			p.lose()
		}
		if lost.Secret == w.Secret {
			t.Error("the secret does not change")
		}
		p, last := back(t, srv, claim(w, 4, 0))
		p.request(1, "", "x")
		p.reply(1, protocol.Reply)
		p.lose()
		refused(t, srv, claim(w, 5, 1), protocol.OutcomeExpired)
		refused(t, srv, claim(lost, 5, 1), protocol.OutcomeExpired)
		back(t, srv, claim(last, 5, 1))
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Of two clients with the same proof the first gets the connection, and keeps it once it
// has said something. The other gets one of its own.
func TestTwoClientsWithOneProof(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := resuming(server.Hooks{OnRequest: echo})
		p, w := first(t, srv)
		p.lose()
		a, _ := back(t, srv, claim(w, 1, 0))
		b, _ := refused(t, srv, claim(w, 1, 0), protocol.OutcomeTaken)
		a.request(1, "", "a")
		a.reply(1, protocol.Reply)
		for attempt := range uint32(3) {
			refused(t, srv, claim(w, 2+attempt, 0), protocol.OutcomeExpired)
		}
		for _, p := range []*peer{a, b} {
			p.request(2, "", "x")
			p.reply(2, protocol.Reply)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A client may come back before the server has noticed that the old socket is gone. What
// still arrives there is not read.
func TestTakesOverALiveSocket(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var calls, away atomic.Int32
		goOn := make(chan struct{})
		srv := resuming(server.Hooks{
			OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				calls.Add(1)
				<-goOn
				return r.Payload, nil
			},
			OnClientAway: func(_ *server.Conn, reason error) {
				if errors.Is(reason, link.ErrTakenOver) {
					away.Add(1)
				}
			},
		})
		old, w := first(t, srv)
		old.request(1, "", "x")
		synctest.Wait()
		p, w := back(t, srv, claim(w, 1, 0))
		if w.Received != 1 {
			t.Errorf("%d messages were received", w.Received)
		}
		if err := old.wait(); !errors.Is(err, link.ErrTakenOver) {
			t.Errorf("the old socket ended because %v", err)
		}
		if b, err := protocol.V3_0.Append(nil, protocol.Message{Kind: protocol.Request, ID: protocol.NewID(2), Name: "n", Payload: protocol.Text("x")}); err != nil || old.conn.Write(b) == nil {
			t.Errorf("the old socket is open (%v)", err)
		}
		close(goOn)
		p.reply(1, protocol.Reply)
		p.quiet()
		if calls.Load() != 1 || away.Load() != 1 {
			t.Errorf("%d calls, %d times away", calls.Load(), away.Load())
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A client comes back although the server does not read its old socket, because the inbox
// is full, and cannot write to it either.
func TestTakesOverASocketThatIsStuck(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const requests = 20
		goOn := make(chan struct{})
		release := sync.OnceFunc(func() { close(goOn) })
		defer release()
		srv := server.New(server.Options{
			Version: protocol.V3_0, Logger: discard, InboxSize: 1 << 10, OutboxSize: 1 << 10, Concurrency: 1,
			Hooks: server.Hooks{OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
				if r.Name == "fill" {
					for range 100 {
						if err := r.Conn.Signal(context.Background(), "s", protocol.Text(strings.Repeat("x", 1<<10))); err != nil {
							return protocol.Payload{}, err
						}
					}
				}
				<-goOn
				return r.Payload, nil
			}},
		})
		p, w, err := sayHello(t, context.Background(), srv, protocol.HelloBody{})
		if err != nil {
			t.Fatal(err)
		}
		var msgs [][]byte
		for i := range uint64(requests) {
			name := ""
			if i == 0 {
				name = "fill"
			}
			b, err := protocol.V3_0.Append(nil, protocol.Message{Kind: protocol.Request, ID: protocol.NewID(1 + i), Name: name, Payload: protocol.Text("x")})
			if err != nil {
				t.Fatal(err)
			}
			msgs = append(msgs, b)
		}
		go func() { _ = p.conn.Write(msgs...) }()
		synctest.Wait()
		began := time.Now()
		p, w = back(t, srv, claim(w, 1, 0))
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
		if w.Received == 0 || w.Received == requests {
			t.Fatalf("%d messages were received", w.Received)
		}
		release()
		for _, msg := range msgs[w.Received:] {
			p.sendRaw(msg)
		}
		signals := 0
		for i := uint64(1); i <= requests; {
			switch m := p.receive(); m.Kind {
			case protocol.Signal:
				signals++
			default:
				if m.Kind != protocol.Reply || m.ID.Uint64() != i {
					t.Fatalf("got %v to %d, want the reply to %d", m.Kind, m.ID.Uint64(), i)
				}
				i++
			}
		}
		if signals != 100 {
			t.Errorf("%d signals", signals)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A second hello breaks the protocol, and ends the connection for good.
func TestHelloTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := resuming(server.Hooks{})
		p, w := first(t, srv)
		r := claim(w, 1, 0)
		p.send(protocol.HelloBody{Resume: &r}.Message())
		ours, theirs := p.over()
		var closed *transport.CloseError
		if !errors.As(ours, &closed) || closed.Status != transport.StatusProtocolError {
			t.Errorf("the client reads %v", ours)
		}
		if !errors.Is(theirs, server.ErrProtocolViolation) {
			t.Errorf("the connection ended because %v", theirs)
		}
		refused(t, srv, r, protocol.OutcomeExpired)
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

// If the ends disagree about what was received there is nothing to go on with. The log
// says why, once.
func TestDisagreement(t *testing.T) {
	for name, change := range map[string]func(*protocol.Resume){
		"more was received than was sent":   func(r *protocol.Resume) { r.Received = 3 },
		"less was received than was acked":  func(r *protocol.Resume) { r.Received = 0 },
		"what the server lacks is not kept": func(r *protocol.Resume) { r.FirstKept = 4 },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log record
				reasons := make(chan error, 2)
				srv := server.New(server.Options{Version: protocol.V3_0, Logger: log.logger(), Hooks: server.Hooks{
					OnRequest:            echo,
					OnClientDisconnected: func(_ *server.Conn, reason error) { reasons <- reason },
				}})
				p, w := first(t, srv)
				for i := range uint64(2) {
					p.request(1+i, "", "x")
					p.reply(1+i, protocol.Reply)
				}
				p.ack(1)
				p.lose()
				r := claim(w, 1, 2)
				change(&r)
				p, _ = refused(t, srv, r, protocol.OutcomeExpired)
				if reason := <-reasons; !errors.Is(reason, server.ErrClientGone) {
					t.Errorf("the connection ended because %v", reason)
				}
				if text := log.take(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=WARN") ||
					!strings.Contains(text, "received "+string(rune('0'+r.Received))+" messages") || !strings.Contains(text, "server has received 2") {
					t.Errorf("the log says %q", text)
				}
				p.request(1, "", "x")
				p.reply(1, protocol.Reply)
				r.Attempt, r.Received, r.FirstKept = 2, 2, 1
				refused(t, srv, r, protocol.OutcomeExpired)
				if text := log.take(); text != "" {
					t.Errorf("the log says %q", text)
				}
				if err := srv.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
