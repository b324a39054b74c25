package server

import (
	"context"
	"encoding/json"
	"time"

	"github.com/webwire-go/webwire/session"
)

// nodeStore is the session store of an engine, which has to be open.
type nodeStore struct {
	topics *topics
	store  session.Store
}

func (s nodeStore) Save(ctx context.Context, ses session.Session) error {
	if err := s.topics.ready(ctx); err != nil {
		return err
	}
	return s.store.Save(ctx, ses)
}

func (s nodeStore) Load(ctx context.Context, key string) (session.Session, error) {
	if err := s.topics.ready(ctx); err != nil {
		return session.Session{}, err
	}
	return s.store.Load(ctx, key)
}

func (s nodeStore) Touch(ctx context.Context, key string, seen time.Time) error {
	if err := s.topics.ready(ctx); err != nil {
		return err
	}
	return s.store.Touch(ctx, key, seen)
}

func (s nodeStore) Update(ctx context.Context, key string, info json.RawMessage) error {
	if err := s.topics.ready(ctx); err != nil {
		return err
	}
	return s.store.Update(ctx, key, info)
}

func (s nodeStore) Delete(ctx context.Context, key string) error {
	if err := s.topics.ready(ctx); err != nil {
		return err
	}
	return s.store.Delete(ctx, key)
}
