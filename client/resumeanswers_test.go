package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// acceptHello accepts the next socket of the client and returns what the client says first.
func acceptHello(t *testing.T, ln *memory.Listener) (*peer, protocol.HelloBody) {
	t.Helper()
	conn, err := ln.Accept(transport.AcceptOptions{Protocols: []string{protocol.V3_0.Token()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Abort() })
	p := &peer{t, conn, protocol.V3_0}
	p.send(protocol.Conf{Version: protocol.V3_0, StreamCredit: 64 << 10, Requests: 8}.Message())
	hello, err := p.receive().Hello()
	if err != nil {
		t.Fatal(err)
	}
	return p, hello
}

// What a server may answer to a client that comes back, and what the client makes of it: a
// request that was sent ends at once if the connection does.
func TestAnswersToAResume(t *testing.T) {
	const secret = "0123456789abcdef"
	for name, test := range map[string]struct {
		answer protocol.WelcomeBody
		status transport.Status // instead of an answer, if not zero
		goesOn bool             // with the next socket
		fresh  bool             // the socket is that of a new connection
		final  bool             // the client does not connect again
	}{
		"resumed":                   {answer: protocol.WelcomeBody{Outcome: protocol.OutcomeResumed, Received: 1, From: 2}, goesOn: true},
		"resumed with a gap":        {answer: protocol.WelcomeBody{Outcome: protocol.OutcomeGap, Received: 1, From: 9}, goesOn: true},
		"cannot tell now":           {answer: protocol.WelcomeBody{Outcome: protocol.OutcomeUnavailable}, goesOn: true},
		"expired":                   {answer: protocol.WelcomeBody{Outcome: protocol.OutcomeExpired, From: 1}, fresh: true},
		"the node is gone":          {answer: protocol.WelcomeBody{Outcome: protocol.OutcomeNodeGone, From: 1}, fresh: true},
		"taken":                     {answer: protocol.WelcomeBody{Outcome: protocol.OutcomeTaken, From: 1}, fresh: true},
		"again what has arrived":    {answer: protocol.WelcomeBody{Outcome: protocol.OutcomeResumed, Received: 1, From: 1}},
		"more late ones than lost":  {answer: protocol.WelcomeBody{Outcome: protocol.OutcomeGap, Received: 1, From: 3, Late: 2}},
		"more than the client sent": {answer: protocol.WelcomeBody{Outcome: protocol.OutcomeResumed, Received: 9, From: 2}},
		"try again later":           {status: transport.StatusTryAgainLater, goesOn: true},
		"go away":                   {status: 4500, final: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ln := memory.Listen()
				gaps := make(chan client.Gap, 4)
				var log record
				c := closeAtEnd(t, client.New(ln, client.Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), Hooks: client.Hooks{
					OnGap: func(_ context.Context, g client.Gap) { gaps <- g },
				}}))
				done := begin(t.Context(), c, "r", "x")
				first, hello := acceptHello(t, ln)
				if hello.Resume != nil {
					t.Errorf("the first hello claims %+v", hello.Resume)
				}
				first.send(protocol.WelcomeBody{Conn: protocol.ConnID{1}, Secret: protocol.Secret([]byte(secret)), Window: time.Hour, Ring: 1 << 18, From: 1}.Message())
				first.send(protocol.Message{Kind: protocol.Signal, Name: "s", Payload: protocol.Text("x")})
				asked := first.receive()
				synctest.Wait()
				_ = first.conn.Abort()

				p, hello := acceptHello(t, ln)
				if r := hello.Resume; r == nil || *r != (protocol.Resume{Conn: protocol.ConnID{1}, Secret: protocol.Secret([]byte(secret)), Attempt: 1, Received: 1, FirstKept: 1}) {
					t.Fatalf("the client claims %+v", r)
				}
				if test.status != 0 {
					_ = p.conn.Close(test.status, "")
				} else {
					p.send(test.answer.Message())
				}
				synctest.Wait()
				if test.answer.Outcome == protocol.OutcomeUnavailable || test.goesOn && test.status != 0 {
					p, hello = acceptHello(t, ln)
					if r := hello.Resume; r == nil || r.Attempt != 2 || r.Secret != protocol.Secret([]byte(secret)) || r.Received != 1 {
						t.Fatalf("the client claims %+v", r)
					}
					p.send(protocol.WelcomeBody{Outcome: protocol.OutcomeResumed, Received: 1, From: 2}.Message())
				}
				if test.goesOn {
					p.reply(asked.ID, "y")
					if got := <-done; got.err != nil || got.reply.Text() != "y" {
						t.Errorf("the outcome is %q, %v", got.reply.Text(), got.err)
					}
					select {
					case g := <-gaps:
						if want := (client.Gap{Missed: 7}); g != want || name != "resumed with a gap" {
							t.Errorf("a gap of %+v", g)
						}
					default:
						if name == "resumed with a gap" {
							t.Error("no gap")
						}
					}
					return
				}
				var lost *client.DisconnectedError
				if got := <-done; !errors.As(got.err, &lost) || !lost.Sent {
					t.Errorf("the outcome is %v", got.err)
				}
				if g := <-gaps; g != (client.Gap{}) {
					t.Errorf("a gap of %+v", g)
				}
				if test.final {
					time.Sleep(time.Hour)
					if s := c.Status(); s != client.Disconnected {
						t.Errorf("the client is %v", s)
					}
					return
				}
				if text := log.text(); test.fresh != (text == "") || !test.fresh && (strings.Count(text, "a connection cannot be resumed") != 1 ||
					!strings.Contains(text, fmt.Sprintf("the server has received %d messages and goes on at number %d after %d others; the client has received 1 and keeps those from 1 on",
						test.answer.Received, test.answer.From, test.answer.Late))) {
					t.Errorf("the log says %q", text)
				}
				if !test.fresh {
					var closed *transport.CloseError
					if _, err := p.conn.Read(nil); !errors.As(err, &closed) || closed.Status != transport.StatusProtocolError {
						t.Errorf("the socket ended because %v", err)
					}
					p, hello = acceptHello(t, ln)
					if hello.Resume != nil {
						t.Errorf("the client claims %+v", hello.Resume)
					}
					p.send(protocol.WelcomeBody{From: 1}.Message())
				}
				done = begin(t.Context(), c, "r", "x")
				p.reply(p.receive().ID, "z")
				if got := <-done; got.err != nil || got.reply.Text() != "z" {
					t.Errorf("the outcome is %q, %v", fmt.Sprint(got.reply.Text()), got.err)
				}
			})
		})
	}
}

// record is where a client logs to.
type record struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(b)
}

// text returns what was logged.
func (r *record) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}
