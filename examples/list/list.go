package main

import (
	"slices"
	"sync"

	"github.com/webwire-go/webwire/protocol"
)

const maxItems, maxText, maxSeen = 1000, 500, 10_000

var errEdit = &protocol.Error{Code: "BAD_EDIT", Message: "the list cannot be edited so"}

// item is a line of the list. Rev is the number of its last edit.
type item struct {
	ID, Text, By string
	Done, Gone   bool
	Rev          int
}

// edit sets some fields of an item, or makes the item. Its ID is that of the edit: an edit that
// comes again, because its reply was lost, is not applied again.
type edit struct {
	ID, Item string
	Text     *string
	Done     *bool
	Gone     bool
}

// state is the list, up to the edit Rev.
type state struct {
	Rev   int
	Items []item
}

// list is in memory only. Edits of one item at the same time merge by field; of two that set
// the same field, the later one at the server counts.
type list struct {
	mu   sync.Mutex
	now  state
	seen []string // the last edits
}

func (l *list) state() state {
	l.mu.Lock()
	defer l.mu.Unlock()
	return state{l.now.Rev, slices.Clone(l.now.Items)}
}

// apply applies an edit and calls changed with the item.
func (l *list) apply(e edit, by string, changed func(item) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.Contains(l.seen, e.ID) {
		return nil
	}
	i := slices.IndexFunc(l.now.Items, func(it item) bool { return it.ID == e.Item })
	switch {
	case e.ID == "" || e.Item == "" || len(e.ID)+len(e.Item) > 100 || e.Text != nil && len(*e.Text) > maxText:
		return errEdit
	case i < 0 && (e.Text == nil || e.Gone):
		return nil // somebody else has removed it
	case i < 0 && len(l.now.Items) == maxItems:
		return errEdit
	case i < 0:
		i = len(l.now.Items)
		l.now.Items = append(l.now.Items, item{ID: e.Item})
	}
	l.seen = append(l.seen[max(0, len(l.seen)+1-maxSeen):], e.ID)
	l.now.Rev++
	it := &l.now.Items[i]
	if e.Text != nil {
		it.Text = *e.Text
	}
	if e.Done != nil {
		it.Done = *e.Done
	}
	it.By, it.Gone, it.Rev = by, e.Gone, l.now.Rev
	told := *it
	if e.Gone {
		l.now.Items = slices.Delete(l.now.Items, i, i+1)
	}
	return changed(told)
}
