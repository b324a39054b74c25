package session

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"sync"
	"time"
)

// sweepPerSave is the number of other sessions that a Save examines, to remove those that
// have expired. With two, a round is complete before the store has grown by half, so there
// are never many more expired sessions than others, and no call is slow.
const sweepPerSave = 2

// MemoryStore is a Store in memory, for tests and for servers whose sessions may end
// with the process. The zero value is ready for use. It must not be copied after first
// use.
//
// Its memory is proportional to the number of sessions that have not expired. Deleted
// sessions are freed at once; expired ones by later calls of Save, or by Sweep. It
// starts no goroutine.
type MemoryStore struct {
	// MaxAge is how long a session is kept after it was last seen. It must not be
	// changed after first use. Zero: DefaultMaxAge. Negative: no limit.
	MaxAge time.Duration

	mu      sync.Mutex
	index   map[[sha256.Size]byte]int // of a key's hash in entries
	entries []memoryEntry             // dense, so that the sweep can step by position
	next    int                       // position at which the sweep continues
}

type memoryEntry struct {
	hash    [sha256.Size]byte
	session Session // without Key
}

// Save implements [Store]. It returns an error for a key that [CheckKey] refuses and
// for an Info that is not JSON.
func (m *MemoryStore) Save(ctx context.Context, s Session) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := check(s); err != nil {
		return err
	}
	entry := memoryEntry{hash: Hash(s.Key), session: Session{
		Created:  storable(s.Created),
		LastSeen: storable(s.LastSeen),
		Info:     bytes.Clone(s.Info),
	}}
	m.mu.Lock()
	defer m.mu.Unlock()
	if i, ok := m.index[entry.hash]; ok {
		m.entries[i] = entry
	} else {
		if m.index == nil {
			m.index = make(map[[sha256.Size]byte]int)
		}
		m.index[entry.hash] = len(m.entries)
		m.entries = append(m.entries, entry)
	}
	m.sweepNext()
	return nil
}

// Load implements [Store].
func (m *MemoryStore) Load(ctx context.Context, key string) (Session, error) {
	if err := ctx.Err(); err != nil {
		return Session{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	entry, err := m.find(key)
	if err != nil {
		return Session{}, err
	}
	s := entry.session
	s.Key = key
	s.Info = bytes.Clone(s.Info)
	return s, nil
}

// Touch implements [Store].
func (m *MemoryStore) Touch(ctx context.Context, key string, seen time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	entry, err := m.find(key)
	if err != nil {
		return err
	}
	if seen.After(lastUse(entry.session)) {
		entry.session.LastSeen = storable(seen)
	}
	return nil
}

// Update implements [Store]. It returns an error for an info that is not JSON.
func (m *MemoryStore) Update(ctx context.Context, key string, info json.RawMessage) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkInfo(info); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	entry, err := m.find(key)
	if err != nil {
		return err
	}
	entry.session.Info = bytes.Clone(info)
	return nil
}

// Delete implements [Store].
func (m *MemoryStore) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if i, ok := m.index[Hash(key)]; ok {
		m.remove(i)
	}
	return nil
}

// Sweep removes all expired sessions and returns their number. It need not be called;
// it frees the memory of a store that is hardly used after a peak.
func (m *MemoryStore) Sweep(ctx context.Context) (removed int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(m.entries) - 1; i >= 0; i-- { // backwards: remove fills the gap from the end
		if m.expired(i) {
			m.remove(i)
			removed++
		}
	}
	return removed, nil
}

// find returns the living entry of key, for use while m.mu is held.
func (m *MemoryStore) find(key string) (*memoryEntry, error) {
	i, ok := m.index[Hash(key)]
	if !ok {
		return nil, ErrNotFound
	}
	if m.expired(i) {
		m.remove(i)
		return nil, ErrNotFound
	}
	return &m.entries[i], nil
}

func (m *MemoryStore) expired(i int) bool {
	return expired(lastUse(m.entries[i].session), orDefault(m.MaxAge))
}

// sweepNext takes the next steps of an endless round through the entries.
func (m *MemoryStore) sweepNext() {
	if orDefault(m.MaxAge) <= 0 {
		return
	}
	for range sweepPerSave {
		if m.next >= len(m.entries) {
			m.next = 0
		}
		if m.next >= len(m.entries) {
			return
		}
		if m.expired(m.next) {
			m.remove(m.next) // another entry is there now, look at it next
		} else {
			m.next++
		}
	}
}

// remove moves the last entry to position i.
func (m *MemoryStore) remove(i int) {
	last := len(m.entries) - 1
	delete(m.index, m.entries[i].hash)
	if i != last {
		m.entries[i] = m.entries[last]
		m.index[m.entries[i].hash] = i
	}
	m.entries[last] = memoryEntry{}
	m.entries = m.entries[:last]
	m.shrink()
}

// shrink frees memory of a store that was much larger once, which slices and maps keep.
func (m *MemoryStore) shrink() {
	const small = 64
	if cap(m.entries) <= small || len(m.entries) > cap(m.entries)/4 {
		return
	}
	room := 2 * len(m.entries) // so that neither the next Save nor the next Delete copies again
	entries := make([]memoryEntry, len(m.entries), room)
	copy(entries, m.entries)
	index := make(map[[sha256.Size]byte]int, room)
	for i := range entries {
		index[entries[i].hash] = i
	}
	m.entries, m.index = entries, index
}
