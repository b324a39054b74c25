package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// What the contract server answers to requests that it refuses.
const (
	codeUnknown          = "UNKNOWN_REQUEST"
	codeBadPayload       = "BAD_PAYLOAD"
	codeLoginFailed      = "LOGIN_FAILED"
	codeSessionsDisabled = "SESSIONS_DISABLED"
)

// handlers returns the requests of the contract.
func (s *Server) handlers() *server.Mux {
	var mux server.Mux
	mux.Request("*", unknown)
	mux.Request("", echo)
	mux.Request("echo*", echo)
	mux.Request("inspect*", inspect)
	mux.Request("empty", empty(protocol.Binary))
	mux.Request("empty-utf8", empty(protocol.UTF8))
	mux.Request("empty-utf16", empty(protocol.UTF16))
	mux.Request("error", refuse)
	mux.Request("internal", fail)
	mux.Request("sleep", sleep)
	mux.Request("big", big)
	mux.Request("signal-me", signalMe)
	mux.Request("last-signals", s.lastSignals)
	mux.Request("login", login)
	mux.Request("session", currentSession)
	mux.Request("logout", logout)
	mux.Request("session-conns", s.sessionConns)
	mux.Request("kill", kill)
	mux.Request("spawn", s.handleSpawn)
	mux.Request("shutdown", s.handleShutdown)
	s.handle3(&mux)
	return &mux
}

func unknown(_ context.Context, r *server.Request) (protocol.Payload, error) {
	return protocol.Payload{}, &protocol.Error{Code: codeUnknown, Message: fmt.Sprintf("no request is called %q", r.Name)}
}

func badPayload(err error) error {
	return &protocol.Error{Code: codeBadPayload, Message: err.Error()}
}

func echo(_ context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil }

// inspected is the answer to inspect.
type inspected struct {
	described
	Len int `json:"len"`
}

func inspect(_ context.Context, r *server.Request) (protocol.Payload, error) {
	return protocol.JSON(inspected{describe(r.Name, r.Payload), len(r.Payload.Data)})
}

func empty(e protocol.Encoding) server.RequestHandler {
	return func(context.Context, *server.Request) (protocol.Payload, error) {
		return protocol.Payload{Encoding: e}, nil
	}
}

func refuse(_ context.Context, r *server.Request) (protocol.Payload, error) {
	code, message, _ := strings.Cut(r.Payload.Text(), "|")
	return protocol.Payload{}, &protocol.Error{Code: code, Message: message}
}

var errOrdinary = errors.New("an ordinary error of the handler, which the client must not see")

func fail(context.Context, *server.Request) (protocol.Payload, error) {
	return protocol.Payload{}, errOrdinary
}

func sleep(ctx context.Context, r *server.Request) (protocol.Payload, error) {
	ms, err := number(r, int(time.Hour/time.Millisecond))
	if err != nil {
		return protocol.Payload{}, err
	}
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return protocol.Text("slept " + strconv.Itoa(ms)), nil
	case <-ctx.Done():
		return protocol.Payload{}, ctx.Err()
	}
}

func big(_ context.Context, r *server.Request) (protocol.Payload, error) {
	n, err := number(r, MaxMessageSize)
	if err != nil {
		return protocol.Payload{}, err
	}
	return protocol.Bytes(bytes.Repeat([]byte("a"), n)), nil
}

// number returns the number from 0 to limit that is the payload.
func number(r *server.Request, limit int) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(r.Payload.Text()))
	if err == nil && (n < 0 || n > limit) {
		err = fmt.Errorf("%d is not between 0 and %d", n, limit)
	}
	if err != nil {
		return 0, badPayload(err)
	}
	return n, nil
}

func signalMe(ctx context.Context, r *server.Request) (protocol.Payload, error) {
	var want described
	if err := r.Payload.DecodeJSON(&want); err != nil {
		return protocol.Payload{}, badPayload(err)
	}
	p, err := want.payload()
	if err != nil {
		return protocol.Payload{}, badPayload(err)
	}
	return protocol.Payload{}, r.Conn.Signal(ctx, want.Name, p)
}

func (s *Server) lastSignals(_ context.Context, r *server.Request) (protocol.Payload, error) {
	return protocol.JSON(s.logs.of(r.Conn))
}

func login(ctx context.Context, r *server.Request) (protocol.Payload, error) {
	var info any
	if data := bytes.TrimSpace([]byte(r.Payload.Text())); len(data) > 0 {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(data, &object); err != nil {
			return protocol.Payload{}, &protocol.Error{Code: codeLoginFailed, Message: err.Error()}
		}
		info = json.RawMessage(data)
	}
	session, err := r.Conn.CreateSession(ctx, info)
	switch {
	case errors.Is(err, protocol.ErrSessionsDisabled):
		return protocol.Payload{}, &protocol.Error{Code: codeSessionsDisabled, Message: err.Error()}
	case err != nil:
		return protocol.Payload{}, &protocol.Error{Code: codeLoginFailed, Message: err.Error()}
	}
	return protocol.Text(session.Key), nil
}

// sessionAnswer is the answer to session.
type sessionAnswer struct {
	Key  string          `json:"key"`
	Info json.RawMessage `json:"info"`
}

func currentSession(_ context.Context, r *server.Request) (protocol.Payload, error) {
	session, ok := r.Conn.Session()
	if !ok {
		return protocol.Text("null"), nil
	}
	return protocol.JSON(sessionAnswer{session.Key, session.Info})
}

func logout(ctx context.Context, r *server.Request) (protocol.Payload, error) {
	err := r.Conn.CloseSession(ctx)
	if errors.Is(err, protocol.ErrSessionsDisabled) {
		err = &protocol.Error{Code: codeSessionsDisabled, Message: err.Error()}
	}
	return protocol.Text("closed"), err
}

func (s *Server) sessionConns(_ context.Context, r *server.Request) (protocol.Payload, error) {
	n := 0
	for range s.web.SessionConns(r.Payload.Text()) {
		n++
	}
	return protocol.Text(strconv.Itoa(n)), nil
}

func kill(_ context.Context, r *server.Request) (protocol.Payload, error) {
	r.Conn.Abort()
	return protocol.Payload{}, nil // goes nowhere
}

func (s *Server) handleSpawn(_ context.Context, r *server.Request) (protocol.Payload, error) {
	var want struct {
		Sessions        *bool `json:"sessions"`
		MaxSessionConns int   `json:"maxSessionConns"`
		ReadTimeoutMs   int   `json:"readTimeoutMs"`
		Concurrency     int   `json:"concurrency"`
	}
	if len(r.Payload.Data) > 0 {
		if err := r.Payload.DecodeJSON(&want); err != nil {
			return protocol.Payload{}, badPayload(err)
		}
	}
	if want.Concurrency == 0 {
		want.Concurrency = s.opts.Concurrency
	}
	addr, err := s.spawn(Options{
		DisableSessions: want.Sessions != nil && !*want.Sessions,
		MaxSessionConns: want.MaxSessionConns,
		ReadTimeout:     time.Duration(want.ReadTimeoutMs) * time.Millisecond,
		Concurrency:     want.Concurrency,
	})
	if err != nil {
		return protocol.Payload{}, fmt.Errorf("spawn: %w", err)
	}
	return protocol.Text(addr), nil
}

func (s *Server) handleShutdown(context.Context, *server.Request) (protocol.Payload, error) {
	s.Shutdown(shutdownDelay)
	return protocol.Text("ok"), nil
}
