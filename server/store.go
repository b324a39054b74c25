package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/logs"
	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
)

// hookedStore is the session store of a server together with the session hooks: the store
// is called first, the hook second. Without a store the hooks alone are the store. It
// recovers from panics, and its errors do not contain the key.
type hookedStore struct {
	hooks *Hooks
	store session.Store // nil: none
	log   *logs.Logger
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

// create saves a new session. After an error nothing of the session is left.
func (h *hookedStore) create(ctx context.Context, c *Conn, s session.Session) error {
	created := false
	if h.store != nil {
		defer func() {
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

// discard deletes a session that the store may have and that was not created.
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
		h.log.Write(storeFailed, "webwire: session that was not handed out cannot be deleted", "error", logs.Text(err))
	}
}

// detached returns a context for cleaning up after ctx may have ended.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
}

const undoTimeout = 10 * time.Second

// update saves the new info of a session.
func (h *hookedStore) update(ctx context.Context, c *Conn, s session.Session) error {
	hook := h.hooks.OnSessionUpdated
	if h.store == nil && hook == nil {
		return errNoUpdates
	}
	if h.store != nil {
		if err := h.run("session store", s.Key, func() error { return h.store.Update(ctx, s.Key, s.Info) }); err != nil {
			return err
		}
	}
	if hook == nil {
		return nil
	}
	err := h.run("OnSessionUpdated", s.Key, func() error { return hook(ctx, c, s) })
	if err != nil && h.store != nil {
		if !deliberate(err) {
			h.log.Write(storeFailed, "webwire: OnSessionUpdated failed", "error", logs.Text(err))
		}
		return nil
	}
	return err
}

var errNoUpdates = fmt.Errorf("server: session updates need a store or OnSessionUpdated: %w", errors.ErrUnsupported)

// load returns the session of key, and notes its use. stored is that of its sessionSlot.
func (h *hookedStore) load(ctx context.Context, c *Conn, key string) (s session.Session, stored *infoHash, err error) {
	s.Key = key
	now := time.Now()
	if h.store != nil {
		err := h.run("session store", key, func() (err error) {
			s, err = h.store.Load(ctx, key)
			return err
		})
		switch {
		case err != nil:
			return session.Session{}, nil, err
		case s.Key != key:
			return session.Session{}, nil, errOtherSession
		}
		if err := h.touch(ctx, key, now); err != nil { // closed meanwhile
			return session.Session{}, nil, err
		}
	}
	if h.hooks.OnSessionLookup != nil {
		before := sha256.Sum256(s.Info)
		err := h.run("OnSessionLookup", key, func() (err error) {
			s, err = h.hooks.OnSessionLookup(ctx, c, s)
			return err
		})
		if err != nil {
			return session.Session{}, nil, err
		}
		if h.store != nil && sha256.Sum256(s.Info) != before {
			stored = &before
		}
	}
	s.Key, s.LastSeen = key, now
	return s, stored, nil
}

var errOtherSession = fmt.Errorf("server: the session store returned another session: %w", session.ErrDamaged)

// touch notes that a session was in use at that time. It returns only session.ErrNotFound;
// other errors are logged.
func (h *hookedStore) touch(ctx context.Context, key string, seen time.Time) error {
	if h.store == nil {
		return nil
	}
	err := h.run("session store", key, func() error { return h.store.Touch(ctx, key, seen) })
	if err == nil || errors.Is(err, session.ErrNotFound) {
		return err
	}
	if errors.Is(err, engine.ErrClosed) { // by Close, which does not wait
		return nil
	}
	h.log.Write(storeFailed, "webwire: session store failed to note a use", "error", logs.Text(err))
	return nil
}

// has reports whether there is a session of key that can be deleted.
func (h *hookedStore) has(ctx context.Context, key string) (bool, error) {
	_, exists, err := h.look(ctx, key)
	return exists, err
}

// look is has, and returns the session as the store has it, nil if that is not known.
func (h *hookedStore) look(ctx context.Context, key string) (s *session.Session, exists bool, err error) {
	if h.store == nil {
		return nil, true, nil // OnSessionClosed finds out
	}
	var found session.Session
	err = h.run("session store", key, func() (err error) {
		found, err = h.store.Load(ctx, key)
		return err
	})
	switch {
	case errors.Is(err, session.ErrDamaged), err == nil && found.Key != key:
		return nil, true, nil
	case errors.Is(err, session.ErrNotFound):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	return &found, true, nil
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
		h.log.Write(storeFailed, "webwire: OnSessionClosed failed", "error", logs.Text(err))
	}
}

func (h *hookedStore) closed(ctx context.Context, key string) error {
	if h.hooks.OnSessionClosed == nil {
		return nil
	}
	return h.run("OnSessionClosed", key, func() error { return h.hooks.OnSessionClosed(ctx, key) })
}

// run calls the store or a hook. A panic or runtime.Goexit, which does not end the caller's
// goroutine, is logged, and becomes an error that is protocol.ErrInternal.
func (h *hookedStore) run(what, key string, call func() error) error {
	t := &storeCall{log: h.log, what: what, key: key, call: call}
	tasks.RunApart(t)
	return t.err
}

type storeCall struct {
	log       *logs.Logger
	what, key string
	call      func() error
	err       error
}

func (t *storeCall) Run() { t.err = link.Conceal(t.call(), t.key) }

func (t *storeCall) Panicked(value any, stack []byte) {
	t.err = fmt.Errorf("server: %s panicked: %w", t.what, protocol.ErrInternal)
	logPanic(t.log, t.what, concealed(value, t.key), stack)
}

// answer returns the error that a client gets when its session cannot be restored.
func answer(err error) error {
	if errors.Is(err, session.ErrNotFound) {
		return protocol.ErrSessionNotFound
	}
	return err
}

// touchEvery is the interval at which the use of a session is noted while connections have
// it. The MaxAge of a store must be longer.
const touchEvery = 5 * time.Minute

// watchUse starts to note the use of sessions, until no connection has one. The caller
// holds mu.
func (t *sessions) watchUse() {
	if t.watching || t.store.store == nil {
		return
	}
	t.watching = true
	time.AfterFunc(touchEvery, t.noteUse)
}

// noteUse notes the use of each session that connections have.
func (t *sessions) noteUse() {
	if !t.server.begin() { // each connection noted the use when it ended
		return
	}
	defer t.server.end()
	for _, key := range t.inUse() {
		if t.isInUse(key) { // still, after a slow store
			ctx, cancel := detached(context.Background())
			if t.store.touch(ctx, key, time.Now()) != nil { // deleted elsewhere
				_ = t.lose(ctx, t.of(key)) // it is closed by another call if ctx ends
			}
			cancel()
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watching = false
	if len(t.live) > 0 {
		t.watchUse()
	}
}

// of returns the session of key, nil if no connection has it.
func (t *sessions) of(key string) *live {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.live[key]
}

func (t *sessions) inUse() (keys []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, l := range t.live {
		if len(l.conns) > 0 {
			keys = append(keys, key)
		}
	}
	return keys
}

func (t *sessions) isInUse(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.live[key]
	return l != nil && len(l.conns) > 0
}

// lastUse is the task of noting when a connection left its session.
type lastUse struct {
	conn *Conn
	key  string
}

func (u *lastUse) Run() {
	ctx, cancel := detached(u.conn.link.Context())
	defer cancel()
	// The session may have been closed meanwhile.
	_ = u.conn.server.sessions.store.touch(ctx, u.key, time.Now())
}

func (u *lastUse) Panicked(value any, stack []byte) { u.conn.panicked("session store", value, stack) }
