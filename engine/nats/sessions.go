package natsengine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/webwire-go/webwire/session"
)

// tombstoneTTL is how long the place of a deleted session is kept.
const tombstoneTTL = time.Minute

// sessions is a store of sessions in a stream: one message for each, the latest. A
// message carries its own time to live, which every write renews.
type sessions struct{ *node }

// record is the content of a message. A tombstone has no content.
type record struct {
	Created  time.Time       `json:"created"`
	LastSeen time.Time       `json:"lastSeen"`
	Info     json.RawMessage `json:"info,omitempty"`
}

var errInfo = errors.New("natsengine: info of a session is not valid JSON")

// Save implements [session.Store].
func (s sessions) Save(ctx context.Context, ses session.Session) error {
	attached, err := s.ready(ctx)
	if err != nil {
		return err
	}
	if err := session.CheckKey(ses.Key); err != nil {
		return err
	}
	m, err := s.message(session.Hash(ses.Key), ses)
	if err != nil {
		return err
	}
	_, err = s.store(ctx, attached, "save session", m)
	return err
}

// message returns a session as it is stored.
func (s sessions) message(hash [32]byte, ses session.Session) (*nats.Msg, error) {
	if len(ses.Info) > 0 && !json.Valid(ses.Info) {
		return nil, errInfo
	}
	m := &nats.Msg{Subject: s.subjects.session(hash), Header: make(nats.Header)}
	if maxAge := s.opts.MaxSessionAge; maxAge > 0 {
		left := maxAge - time.Since(lastUse(ses))
		if left <= 0 {
			return s.tombstone(hash), nil // it has expired already
		}
		setTTL(m, left)
	}
	data, err := json.Marshal(record{ses.Created.Round(0).UTC(), ses.LastSeen.Round(0).UTC(), ses.Info})
	if err != nil {
		return nil, fmt.Errorf("natsengine: encode session: %w", err)
	}
	m.Data = data
	return m, nil
}

func (s sessions) tombstone(hash [32]byte) *nats.Msg {
	m := &nats.Msg{Subject: s.subjects.session(hash), Header: make(nats.Header)}
	setTTL(m, tombstoneTTL)
	return m
}

// setTTL has a message removed after d. JetStream knows whole seconds.
func setTTL(m *nats.Msg, d time.Duration) {
	seconds := int64((d + time.Second - 1) / time.Second)
	m.Header["Nats-TTL"] = []string{strconv.FormatInt(seconds, 10) + "s"}
}

// lastUse returns the time from which the age of a session counts.
func lastUse(ses session.Session) time.Time {
	if ses.Created.After(ses.LastSeen) {
		return ses.Created
	}
	return ses.LastSeen
}

// Load implements [session.Store].
func (s sessions) Load(ctx context.Context, key string) (session.Session, error) {
	attached, err := s.ready(ctx)
	if err != nil {
		return session.Session{}, err
	}
	ses, _, err := s.load(ctx, attached, session.Hash(key))
	if err != nil {
		return session.Session{}, err
	}
	ses.Key = key
	return ses, nil
}

// load returns a session without its key, and the sequence of its message. It asks
// the leader: a session that another node has just saved is found.
func (s sessions) load(ctx, attached context.Context, hash [32]byte) (session.Session, uint64, error) {
	m, err := s.get(ctx, attached, "load session", s.stored, lastBySubject{s.subjects.session(hash)})
	if err != nil {
		return session.Session{}, 0, err
	}
	if m == nil || len(m.Data) == 0 {
		return session.Session{}, 0, session.ErrNotFound
	}
	var r record
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return session.Session{}, 0, fmt.Errorf("%w: natsengine: %s: %w", session.ErrDamaged, m.Subject, err)
	}
	ses := session.Session{Created: r.Created, LastSeen: r.LastSeen, Info: r.Info}
	if maxAge := s.opts.MaxSessionAge; maxAge > 0 && time.Since(lastUse(ses)) >= maxAge {
		return session.Session{}, 0, session.ErrNotFound
	}
	return ses, m.Seq, nil
}

// Touch implements [session.Store].
func (s sessions) Touch(ctx context.Context, key string, seen time.Time) error {
	return s.change(ctx, key, func(ses *session.Session) bool {
		if !seen.After(lastUse(*ses)) {
			return false
		}
		ses.LastSeen = seen
		return true
	})
}

// Update implements [session.Store].
func (s sessions) Update(ctx context.Context, key string, info json.RawMessage) error {
	if len(info) > 0 && !json.Valid(info) {
		return errInfo
	}
	return s.change(ctx, key, func(ses *session.Session) bool {
		ses.Info = info
		return true
	})
}

// change replaces a session by what change makes of it, unless that returns false.
// Other writes come before or after it, never in between.
func (s sessions) change(ctx context.Context, key string, change func(*session.Session) bool) error {
	hash := session.Hash(key)
	for try := 0; ; try++ {
		attached, err := s.ready(ctx)
		if err != nil {
			return err
		}
		ses, seq, err := s.load(ctx, attached, hash)
		if err != nil {
			return err
		}
		if !change(&ses) {
			return nil
		}
		m, err := s.message(hash, ses)
		if err != nil {
			return err
		}
		m.Header["Nats-Expected-Last-Subject-Sequence"] = []string{strconv.FormatUint(seq, 10)}
		_, err = s.store(ctx, attached, "change session", m)
		// Another write was faster, or is in flight and its outcome is not known yet:
		// only what is there then tells.
		if code := codeOf(err); code != codeWrongLast && code != codeWrongLastPending {
			return err
		}
		if err := s.pause(ctx, attached, try); err != nil {
			return err
		}
	}
}

// pause waits a little, longer from try to try.
func (s sessions) pause(ctx, attached context.Context, try int) error {
	timer := time.NewTimer(rand.N(time.Millisecond << min(try, 6)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-attached.Done():
		_, err := s.ready(ctx)
		return err
	}
}

// Delete implements [session.Store]. It leaves a tombstone for a while: a change that
// has read the session fails.
func (s sessions) Delete(ctx context.Context, key string) error {
	attached, err := s.ready(ctx)
	if err != nil {
		return err
	}
	_, err = s.store(ctx, attached, "delete session", s.tombstone(session.Hash(key)))
	return err
}
