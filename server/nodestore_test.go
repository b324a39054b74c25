package server_test

import (
	"context"
	"encoding/json"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/session"
)

// opensFirst is the store of an engine that fails before the engine is open, as that of
// NATS does.
type opensFirst struct{ engine engine.Engine }

func (s opensFirst) ready() error {
	for range s.engine.Roster.Nodes() {
		return nil
	}
	return engine.ErrNotOpen
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
