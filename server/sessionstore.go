package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
)

// hookedStore is the session store of a server together with the session hooks:
// store first, hook second. Without a store the hooks alone are it. It never
// panics, and no error of it contains the key.
type hookedStore struct {
	hooks *Hooks
	store session.Store // nil: none
	log   *logger
}

// newKey returns the key of a new session.
func (h *hookedStore) newKey() (key string, err error) {
	err = h.run("OnSessionKeyGeneration", "", func() error {
		key = h.hooks.OnSessionKeyGeneration()
		return nil
	})
	if err != nil {
		return "", err
	}
	if err := session.CheckKey(key); err != nil {
		return "", fmt.Errorf("server: OnSessionKeyGeneration: %w", err)
	}
	return key, nil
}

// create saves a new session, or leaves nothing of it behind.
func (h *hookedStore) create(ctx context.Context, c *Conn, s session.Session) error {
	created := false
	if h.store != nil {
		defer func() { // also if a hook ends this goroutine
			if !created {
				h.discard(ctx, s.Key)
			}
		}()
		if err := h.run("session store", s.Key, func() error { return h.store.Save(ctx, s) }); err != nil {
			return err
		}
	}
	if h.hooks.OnSessionCreated != nil {
		err := h.run("OnSessionCreated", s.Key, func() error { return h.hooks.OnSessionCreated(ctx, c, s) })
		if err != nil {
			return err
		}
	}
	created = true
	return nil
}

// discard deletes what the store may have of a session that was not created.
func (h *hookedStore) discard(ctx context.Context, key string) {
	if h.store == nil {
		return
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	h.report(h.run("session store", key, func() error { return h.store.Delete(ctx, key) }))
}

func (h *hookedStore) report(err error) {
	if err != nil {
		h.log.write(storeFailed, "webwire: session that was not handed out cannot be deleted", "error", textOf(err))
	}
}

// detached returns a context for what has to be done although ctx may have ended.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
}

const undoTimeout = 10 * time.Second

// load returns the session of key and notes its use.
func (h *hookedStore) load(ctx context.Context, c *Conn, key string) (session.Session, error) {
	s := session.Session{Key: key}
	now := time.Now()
	if h.store != nil {
		err := h.run("session store", key, func() (err error) {
			s, err = h.store.Load(ctx, key)
			return err
		})
		switch {
		case err != nil:
			return session.Session{}, err
		case s.Key != key:
			return session.Session{}, errOtherSession
		}
		if err := h.touch(ctx, key, now); err != nil { // closed meanwhile
			return session.Session{}, err
		}
	}
	if h.hooks.OnSessionLookup != nil {
		err := h.run("OnSessionLookup", key, func() (err error) {
			s, err = h.hooks.OnSessionLookup(ctx, c, s)
			return err
		})
		if err != nil {
			return session.Session{}, err
		}
	}
	s.Key, s.LastSeen = key, now
	return s, nil
}

var errOtherSession = fmt.Errorf("server: the session store returned another session: %w", session.ErrDamaged)

// touch notes that a session was in use at that time. Its error is
// session.ErrNotFound; any other is logged.
func (h *hookedStore) touch(ctx context.Context, key string, seen time.Time) error {
	if h.store == nil {
		return nil
	}
	err := h.run("session store", key, func() error { return h.store.Touch(ctx, key, seen) })
	if err == nil || errors.Is(err, session.ErrNotFound) {
		return err
	}
	h.log.write(storeFailed, "webwire: session store failed to note a use", "error", textOf(err))
	return nil
}

// has reports whether there is a session of key that can be deleted.
func (h *hookedStore) has(ctx context.Context, key string) (bool, error) {
	if h.store == nil {
		return true, nil // OnSessionClosed finds out
	}
	err := h.run("session store", key, func() error {
		_, err := h.store.Load(ctx, key)
		return err
	})
	switch {
	case err == nil, errors.Is(err, session.ErrDamaged):
		return true, nil
	case errors.Is(err, session.ErrNotFound):
		return false, nil
	}
	return false, err
}

// remove deletes a session. Without a store that is what OnSessionClosed does.
func (h *hookedStore) remove(ctx context.Context, key string) error {
	if h.store != nil {
		return h.run("session store", key, func() error { return h.store.Delete(ctx, key) })
	}
	return h.closed(ctx, key)
}

// removed tells OnSessionClosed, if there is a store, that a session is deleted.
func (h *hookedStore) removed(ctx context.Context, key string) {
	if h.store == nil {
		return
	}
	if err := h.closed(ctx, key); err != nil && !deliberate(err) {
		h.log.write(storeFailed, "webwire: OnSessionClosed failed", "error", textOf(err))
	}
}

func (h *hookedStore) closed(ctx context.Context, key string) error {
	if h.hooks.OnSessionClosed == nil {
		return nil
	}
	return h.run("OnSessionClosed", key, func() error { return h.hooks.OnSessionClosed(ctx, key) })
}

// run calls the store or a hook. A panic is logged, and becomes an error that is
// protocol.ErrInternal.
func (h *hookedStore) run(what, key string, call func() error) error {
	t := &storeCall{log: h.log, what: what, key: key, call: call}
	link.Run(t)
	return t.err
}

type storeCall struct {
	log       *logger
	what, key string
	call      func() error
	err       error
}

func (t *storeCall) Run() { t.err = link.Conceal(t.call(), t.key) }

func (t *storeCall) Panicked(value any, stack []byte) {
	t.err = fmt.Errorf("server: %s panicked: %w", t.what, protocol.ErrInternal)
	t.log.panicked(t.what, concealed(value, t.key), stack)
}

// answer returns what a client is told when its session cannot be restored.
func answer(err error) error {
	if errors.Is(err, session.ErrNotFound) {
		return protocol.ErrSessionNotFound
	}
	return err
}
