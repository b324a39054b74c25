package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
)

// hookedStore is the session store of a server together with the session hooks:
// store first, hook second. Without a store the hooks alone are it.
type hookedStore struct {
	hooks *Hooks
	store session.Store // nil: none
	log   *slog.Logger
}

// create saves a new session, or leaves nothing of it behind.
func (h *hookedStore) create(ctx context.Context, c *Conn, s session.Session) (err error) {
	if h.store != nil {
		if err := h.store.Save(ctx, s); err != nil {
			return err
		}
	}
	if h.hooks.OnSessionCreated == nil {
		return nil
	}
	created := false
	defer func() {
		if !created && h.store != nil { // the hook refused, or panicked
			h.undo(ctx, s.Key)
		}
	}()
	err = h.hooks.OnSessionCreated(ctx, c, s)
	created = err == nil
	return err
}

// undo deletes a session that its client was not told of.
func (h *hookedStore) undo(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if err := h.delete(ctx, key); err != nil {
		h.log.Error("webwire: session that was not handed out cannot be deleted", "error", err)
	}
}

const undoTimeout = 10 * time.Second

// load returns the session of key and notes its use.
func (h *hookedStore) load(ctx context.Context, c *Conn, key string) (session.Session, error) {
	s := session.Session{Key: key}
	now := time.Now()
	if h.store != nil {
		var err error
		if s, err = h.store.Load(ctx, key); err != nil {
			return s, err
		}
		switch err := h.store.Touch(ctx, key, now); {
		case errors.Is(err, session.ErrNotFound): // closed meanwhile
			return s, err
		case err != nil:
			h.log.Warn("webwire: session store failed to note a use", "error", err)
		}
	}
	if h.hooks.OnSessionLookup != nil {
		var err error
		if s, err = h.hooks.OnSessionLookup(ctx, c, s); err != nil {
			return s, err
		}
	}
	s.Key, s.LastSeen = key, now
	return s, nil
}

// touch notes that a session was in use until now.
func (h *hookedStore) touch(ctx context.Context, key string) {
	if h.store == nil {
		return
	}
	if err := h.store.Touch(ctx, key, time.Now()); err != nil && !errors.Is(err, session.ErrNotFound) {
		h.log.Warn("webwire: session store failed to note a use", "error", err)
	}
}

// delete deletes a session.
func (h *hookedStore) delete(ctx context.Context, key string) error {
	if h.store != nil {
		if err := h.store.Delete(ctx, key); err != nil {
			return err
		}
	}
	if h.hooks.OnSessionClosed == nil {
		return nil
	}
	err := h.hooks.OnSessionClosed(ctx, key)
	if err != nil && h.store != nil { // too late: the session is gone
		h.log.Error("webwire: OnSessionClosed failed", "error", err)
		return nil
	}
	return err
}

// answer returns what a client is told when its session cannot be restored.
func answer(err error) error {
	if errors.Is(err, session.ErrNotFound) {
		return protocol.ErrSessionNotFound
	}
	return err
}
