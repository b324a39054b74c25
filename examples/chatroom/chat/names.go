package chat

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/webwire-go/webwire/session"
)

const (
	// nameAge is how long a name and its session last without being used.
	nameAge = 30 * 24 * time.Hour

	// firstUse is how long a name waits for the first request of its user. If the
	// connection is lost before the client knows its session, the name is free after it.
	firstUse = time.Minute

	seenPrecision = 24 * time.Hour // of the last use in the file
	maxNames      = 10000

	firstMessages = 20 // that a new name may send at once
)

// messages limits the messages of one name. It saves up for a queue that was written
// without a connection.
var messages = rate{burst: 1000, every: time.Second / 2}

// names has the session of each name, in memory and in a file.
type names struct {
	path string

	mu        sync.Mutex // held while the file is written, which is when somebody signs in or out
	byName    map[string]*holder
	bySession map[string]*holder
}

// holder is the session that has a name.
type holder struct {
	Name    string    `json:"name"`
	Session string    `json:"session"` // the hash of its key
	Seen    time.Time `json:"seen"`
	Used    bool      `json:"used"`  // a request came: the client knows of its session
	Empty   time.Time `json:"empty"` // when its bucket of messages was empty, see rate.take

	saved   time.Time // Seen as the file has it
	closing bool      // the session has ended, and the name is not free yet
}

func hashOf(key string) string {
	hash := session.Hash(key)
	return hex.EncodeToString(hash[:])
}

func openNames(path string) (*names, error) {
	n := &names{path: path, byName: make(map[string]*holder), bySession: make(map[string]*holder)}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	if err != nil {
		return nil, err
	}
	var all []*holder
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, h := range all {
		h.saved = h.Seen
		if now := time.Now(); h.Empty.After(now) { // the clock was set back
			h.Empty = now
		}
		n.put(h)
	}
	return n, nil
}

// claim gives the name to a session, unless it belongs to another.
func (n *names) claim(name, key string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.byName[fold(name)]; h != nil {
		if !h.expired() {
			return ErrNameTaken
		}
		n.remove(h)
	}
	if len(n.byName) >= maxNames {
		for _, h := range n.byName {
			if h.expired() {
				n.remove(h)
			}
		}
	}
	if len(n.byName) >= maxNames {
		return ErrFull
	}
	now := time.Now().UTC()
	h := &holder{Name: name, Session: hashOf(key), Seen: now, Empty: now.Add(-firstMessages * messages.every)}
	n.put(h)
	err := n.save()
	if err != nil {
		n.remove(h)
	}
	return err
}

// use reports whether the name belongs to the session, and notes that it is in use.
func (n *names) use(name, key string) (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.byName[fold(name)]
	if h == nil || h.Session != hashOf(key) || h.closing {
		return false, nil
	}
	first := !h.Used
	h.Seen, h.Used = time.Now().UTC(), true
	if !first && h.Seen.Sub(h.saved) < seenPrecision {
		return true, nil
	}
	return true, n.save()
}

// spend counts a message. It fails with ErrTooFast if the name has sent too many. After
// a crash the silence is counted from what the file says, which may be too long.
func (n *names) spend(name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.byName[fold(name)]
	if h == nil {
		return ErrSignedOut
	}
	empty, ok := messages.take(h.Empty, time.Now().UTC())
	if !ok {
		return ErrTooFast
	}
	h.Empty = empty
	return nil
}

// closing returns the name of a session that ends. From now on use reports false, until
// free frees the name.
func (n *names) closing(key string) (name string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.bySession[hashOf(key)]
	if h == nil {
		return "", false
	}
	h.closing = true
	return h.Name, true
}

// free frees the name of a session after closing.
func (n *names) free(key string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.bySession[hashOf(key)]
	if h == nil {
		return nil
	}
	n.remove(h)
	return n.save()
}

// close saves what has changed since the last save.
func (n *names) close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.save()
}

// expired reports whether a name can be taken from its holder.
func (h *holder) expired() bool {
	age := nameAge
	if !h.Used {
		age = firstUse
	}
	return !h.closing && time.Since(h.Seen) >= age
}

func (n *names) put(h *holder) {
	n.byName[fold(h.Name)] = h
	n.bySession[h.Session] = h
}

func (n *names) remove(h *holder) {
	delete(n.byName, fold(h.Name))
	delete(n.bySession, h.Session)
}

func (n *names) save() error {
	all := make([]*holder, 0, len(n.byName))
	for _, h := range n.byName {
		all = append(all, h)
	}
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if err := replaceFile(n.path, data); err != nil {
		return err
	}
	for _, h := range all {
		h.saved = h.Seen
	}
	return nil
}
