package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
)

const listenHelp = `It runs until it is interrupted, and connects again when the connection is lost.
It ends if it cannot connect at first, or if connecting again would not help.
Requests of servers that speak 3.0 are refused, or answered with their own
payload if there is -echo.
`

func listen(ctx context.Context, p *program, flags *flag.FlagSet, args []string) error {
	conn := connectionFlags(flags)
	conn.sessionFlag(flags)
	echo := flags.Bool("echo", false, "answer requests of the server with their own payload")
	args, err := parse(flags, args, 1, 1)
	if err != nil {
		return err
	}
	out := newPrinter(p.stdout, conn.json)
	failed := make(chan error, 1)
	opts := conn.options()
	opts.DisableAutoconnect = false
	opts.Hooks = listenHooks(out, failed)
	opts.Handler = &asked{out, *echo}
	c, err := conn.client(args[0], opts)
	if err != nil {
		return err
	}
	defer c.Close()
	connected, cancel := context.WithTimeout(ctx, conn.timeout)
	defer cancel()
	go func() {
		if err := c.Connect(connected); err != nil {
			fail(failed, connectError{err})
		}
	}()
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// asked handles the requests of the server.
type asked struct {
	out  *printer
	echo bool
}

func (a *asked) HandleRequest(_ context.Context, r *client.Request) (protocol.Payload, error) {
	a.out.event(event{Event: "request", Name: &r.Name, Payload: newPayload(r.Payload)})
	if !a.echo {
		return protocol.Payload{}, protocol.FailureNoHandler.Failure()
	}
	return r.Payload, nil
}

// HandleSignal is not called: there is a hook for signals.
func (a *asked) HandleSignal(context.Context, *client.Signal) {}

// fail reports why listening ends, unless that is known already.
func fail(failed chan<- error, err error) {
	select {
	case failed <- err:
	default:
	}
}

// listenHooks print what happens on the connection.
func listenHooks(out *printer, failed chan<- error) client.Hooks {
	connected := false // hooks are called one at a time
	say := func(what string, s session.Session) { out.event(event{Event: what, Session: fingerprint(s)}) }
	return client.Hooks{
		OnConnected: func(context.Context) {
			connected = true
			out.event(event{Event: "connected"})
		},
		OnDisconnected: func(_ context.Context, reason error) {
			if !errors.Is(reason, client.ErrClosed) {
				out.event(event{Event: "disconnected", Detail: ending(reason)})
			}
		},
		OnAway: func(_ context.Context, reason error) {
			out.event(event{Event: "away", Detail: ending(reason)})
		},
		OnBack: func(context.Context) { out.event(event{Event: "back"}) },
		OnGap: func(_ context.Context, g client.Gap) {
			out.event(event{Event: "gap", Detail: fmt.Sprintf("%d signals of the server missed, %d not acknowledged", g.Missed, g.Unacknowledged)})
		},
		OnConnectError: func(_ context.Context, err error) {
			if !connected {
				fail(failed, connectError{err})
				return
			}
			out.event(event{Event: "connect error", Detail: err.Error()})
		},
		OnConnectFailed: func(_ context.Context, err error) { fail(failed, connectError{err}) },
		OnServerSignal: func(_ context.Context, s *client.Signal) {
			out.event(event{Event: "signal", Name: &s.Name, Payload: newPayload(s.Payload)})
		},
		OnSessionCreated:  func(_ context.Context, s session.Session) { say("session created", s) },
		OnSessionUpdated:  func(_ context.Context, s session.Session) { say("session updated", s) },
		OnSessionRestored: func(_ context.Context, s session.Session) { say("session restored", s) },
		OnSessionClosed:   func(context.Context) { out.event(event{Event: "session closed"}) },
		OnSessionError: func(_ context.Context, err error) {
			out.event(event{Event: "session error", Detail: err.Error()})
		},
	}
}
