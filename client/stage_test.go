package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// stage is where a scenario is played.
type stage struct {
	t       *testing.T
	client  *client.Client
	version protocol.Version
	dialler *heldDialer
	keys    *keptKey
	peer    *farEnd
	calls   map[string]*stagedCall
	ids     map[string]protocol.ID

	mu     sync.Mutex
	events []string
}

type stagedCall struct {
	cancel context.CancelFunc
	done   chan error
	result string // "pending" until it has ended
}

func (st *stage) hooks(in map[string][]scenarioStep) client.Hooks {
	tell := func(what string) {
		st.mu.Lock()
		st.events = append(st.events, what)
		st.mu.Unlock()
		name, _, _ := strings.Cut(what, " ")
		for _, step := range in[name] {
			call := st.call(step)
			err := <-call.done
			call.done <- err
		}
	}
	return client.Hooks{
		OnConnected:       func(context.Context) { tell("connected") },
		OnDisconnected:    func(context.Context, error) { tell("disconnected") },
		OnConnectError:    func(context.Context, error) { tell("connecterror") },
		OnConnectFailed:   func(context.Context, error) { tell("connectfailed") },
		OnServerSignal:    func(_ context.Context, s *client.Signal) { tell("signal " + s.Name) },
		OnSessionCreated:  func(_ context.Context, s session.Session) { tell("sessioncreated " + s.Key) },
		OnSessionUpdated:  func(_ context.Context, s session.Session) { tell("sessionupdated " + s.Key) },
		OnSessionClosed:   func(context.Context) { tell("sessionclosed") },
		OnSessionError:    func(_ context.Context, err error) { tell("sessionerror " + outcomeName(err, "")) },
		OnSessionRestored: func(_ context.Context, s session.Session) { tell("sessionrestored " + s.Key) },
	}
}

// told returns the events since the last call.
func (st *stage) told() []string {
	st.mu.Lock()
	defer st.mu.Unlock()
	all := st.events
	st.events = nil
	return all
}

func (st *stage) play(step scenarioStep) {
	t := st.t
	switch {
	case step.Call != "":
		st.call(step)
	case step.Cancel != "":
		st.calls[step.Cancel].cancel()
	case step.Outcome != "":
		if got := st.outcome(step.Outcome); got != step.Is {
			t.Errorf("the outcome of %s is %s, want %s", step.Outcome, got, step.Is)
		}
	case step.Accept:
		near, far := memory.Pipe()
		if !st.dialler.decide(answer{conn: near}) {
			t.Error("the client is not making an attempt")
			return
		}
		st.peer = newFarEnd(far)
		rules := manners.Of(st.version)
		if rules.Hello {
			welcome(t, far, protocol.Conf{}, 0)
		}
		if rules.Conf {
			st.write(protocol.Conf{Version: st.version}.Message())
		}
	case step.Fail != "":
		if !st.dialler.decide(answer{err: failure(t, step.Fail)}) {
			t.Error("the client is not making an attempt")
		}
	case step.Dialling != nil:
		if got := st.dialler.dialling(); got != *step.Dialling {
			t.Errorf("the client is making an attempt: %t", got)
		}
	case step.Sent != "":
		m, ok := st.next()
		got := "nothing"
		if ok {
			got = st.describe(m)
		}
		if got != step.Sent {
			t.Errorf("the client sent %s, want %s", got, step.Sent)
		}
		st.ids[step.As] = m.ID
	case step.Reply != "":
		st.reply(st.ids[step.Reply], step.With)
	case step.Say != "":
		st.say(step.Say)
	case step.Drop != nil:
		if status, err := strconv.Atoi(string(step.Drop)); err == nil {
			go st.peer.conn.Close(transport.Status(status), "")
		} else {
			st.peer.conn.Abort()
		}
	case step.Ended != nil:
		if got := st.peer.over(); got != *step.Ended {
			t.Errorf("the client has ended its connection: %t", got)
		}
		if *step.Ended {
			st.peer.forget()
		}
	case step.Pass > 0:
		time.Sleep(time.Duration(step.Pass) * time.Millisecond)
	case step.Events != nil:
		if got := st.told(); !slices.Equal(got, *step.Events) {
			t.Errorf("events %q, want %q", got, *step.Events)
		}
	case step.Session.given:
		if s, _ := st.client.Session(); s.Key != step.Session.value {
			t.Errorf("the session is %q, want %q", s.Key, step.Session.value)
		}
	case step.Stored.given:
		if key, _ := st.keys.LoadKey(); key != step.Stored.value {
			t.Errorf("the key in storage is %q, want %q", key, step.Stored.value)
		}
	case step.Status != "":
		if got := st.client.Status().String(); got != step.Status {
			t.Errorf("the client is %s, want %s", got, step.Status)
		}
	default:
		t.Error("a step that this runner does not know")
	}
}

// call begins a call of the client.
func (st *stage) call(step scenarioStep) *stagedCall {
	ctx, cancel := context.WithCancel(context.Background())
	if step.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(step.Timeout)*time.Millisecond)
	}
	c := &stagedCall{cancel: cancel, done: make(chan error, 1), result: "pending"}
	st.mu.Lock()
	st.calls[step.As] = c
	st.mu.Unlock()
	go func() {
		var err error
		switch step.Call {
		case "connect":
			err = st.client.Connect(ctx)
		case "request":
			_, err = st.client.Request(ctx, step.Name, protocol.Text("x"))
		case "signal":
			err = st.client.Signal(ctx, step.Name, protocol.Text("x"))
		case "restore":
			err = st.client.RestoreSession(ctx, step.Key)
		case "close session":
			err = st.client.CloseSession(ctx)
		case "close":
			err = st.client.Close()
		default:
			err = fmt.Errorf("no call %q", step.Call)
		}
		c.done <- err
	}()
	st.t.Cleanup(cancel)
	return c
}

func (st *stage) outcome(name string) string {
	c := st.calls[name]
	if c == nil {
		return "that of no call"
	}
	select {
	case err := <-c.done:
		c.result = outcomeName(err, "failed")
	default:
	}
	return c.result
}

// outcomeName returns what scenarios call an error.
func outcomeName(err error, otherwise string) string {
	var lost *client.DisconnectedError
	var app *protocol.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &lost) && lost.Sent:
		return "sent"
	case errors.As(err, &app):
		return "error " + app.Code
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.As(err, &lost), errors.Is(err, client.ErrDisconnected):
		return "not sent"
	case errors.Is(err, client.ErrClosed):
		return "closed"
	case errors.Is(err, protocol.ErrSessionNotFound):
		return "not found"
	case errors.Is(err, protocol.ErrSessionFull):
		return "full"
	case errors.Is(err, protocol.ErrSessionsDisabled):
		return "disabled"
	case errors.Is(err, protocol.ErrInternal):
		return "internal"
	case errors.Is(err, protocol.ErrShutdown):
		return "shutdown"
	case errors.Is(err, protocol.ErrMalformed):
		return "malformed"
	case otherwise != "":
		return otherwise
	}
	return err.Error()
}
