package server_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
)

// opensFirst is the store of an engine that fails before the engine is open and after it
// was closed, as that of NATS does.
type opensFirst struct{ engine engine.Engine }

func (s opensFirst) ready() error {
	_, err := s.engine.Log.Tops(context.Background(), nil)
	return err
}

// That the store cannot note a use any more is nothing to log after Close.
func TestCloseLogsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log record
		var memory engine.Memory
		var errs []error
		e := memory.Node()
		e.Sessions = opensFirst{e}
		srv := newTopical(t, server.Options{Engine: e, Logger: log.logger(), Hooks: server.Hooks{OnRequest: updater(&errs)}})
		p := connect(t, srv, protocol.V3_0)
		p.login("ada")
		srv.Close()
		p.over()
		synctest.Wait()
		if text := log.take(); text != "" {
			t.Errorf("logged %s", text)
		}
	})
}

func (s opensFirst) Save(ctx context.Context, ses session.Session) error {
	if err := s.ready(); err != nil {
		return err
	}
	return s.engine.Sessions.Save(ctx, ses)
}

func (s opensFirst) Load(ctx context.Context, key string) (session.Session, error) {
	if err := s.ready(); err != nil {
		return session.Session{}, err
	}
	return s.engine.Sessions.Load(ctx, key)
}

func (s opensFirst) Touch(ctx context.Context, key string, seen time.Time) error {
	if err := s.ready(); err != nil {
		return err
	}
	return s.engine.Sessions.Touch(ctx, key, seen)
}

func (s opensFirst) Update(ctx context.Context, key string, info json.RawMessage) error {
	if err := s.ready(); err != nil {
		return err
	}
	return s.engine.Sessions.Update(ctx, key, info)
}

func (s opensFirst) Delete(ctx context.Context, key string) error {
	if err := s.ready(); err != nil {
		return err
	}
	return s.engine.Sessions.Delete(ctx, key)
}
