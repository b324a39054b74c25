package client_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// A server that asks the client to move as soon as it is connected does not make it connect
// without pauses.
func TestDrainInALoop(t *testing.T) {
	resumed := protocol.WelcomeBody{Outcome: protocol.OutcomeResumed, Window: window, From: 1}
	for name, answers := range map[string][2]protocol.WelcomeBody{ // the first, and those after it
		"resumes":             {{Window: window, From: 1}, resumed},
		"knows no connection": {{Window: window, From: 1}, {Window: window, From: 1}},
		"resumes nothing":     {{From: 1}, {From: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ln := memory.Listen()
				c := dial(t, ln, client.Options{Logger: discard})
				var sockets atomic.Int64
				go func() {
					for {
						conn, err := ln.Accept(transport.AcceptOptions{Protocols: []string{protocol.V3_0.Token()}})
						if err != nil {
							return
						}
						answer := answers[min(sockets.Add(1)-1, 1)]
						drain := protocol.DrainBody{Spread: time.Millisecond, Grace: 2 * time.Millisecond}
						conf := protocol.Conf{Version: protocol.V3_0, StreamCredit: 64 << 10, Requests: 8}
						for _, m := range []protocol.Message{conf.Message(), answer.Message(), drain.Message()} {
							b, _ := protocol.V3_0.Append(nil, m)
							_ = conn.Write(b)
						}
						go func() {
							for b, err := conn.Read(nil); err == nil; b, err = conn.Read(b[:0]) {
							}
						}()
					}
				}()
				connect(t, c)
				time.Sleep(time.Minute)
				if n := sockets.Load(); n < 10 || n > 60 {
					t.Errorf("%d sockets in a minute", n)
				}
				_ = c.Close()
				_ = ln.Close()
			})
		})
	}
}

// A client whose socket has lasted moves without a pause: the server has spread its clients.
func TestMoveWithoutPause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := dial(t, ln, client.Options{Logger: discard})
		go c.Connect(t.Context())
		p, _ := acceptHello(t, ln)
		p.send(protocol.WelcomeBody{Window: window, From: 1}.Message())
		var moves []time.Duration
		for range 20 {
			time.Sleep(2 * time.Second)
			start := time.Now()
			p.send(protocol.DrainBody{Spread: time.Millisecond, Grace: time.Second}.Message())
			p, _ = acceptHello(t, ln)
			p.send(protocol.WelcomeBody{Outcome: protocol.OutcomeResumed, Window: window, From: 1}.Message())
			moves = append(moves, time.Since(start))
		}
		if slices.Max(moves) > time.Millisecond {
			t.Errorf("moving takes %v", moves)
		}
	})
}
