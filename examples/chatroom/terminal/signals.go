package terminal

import (
	"context"
	"errors"
	"strings"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/examples/chatroom/chat"
)

// signal prints the events of the room.
func (t *talk) signal(_ context.Context, s *client.Signal) {
	switch s.Name {
	case "message":
		var m chat.Message
		if s.Payload.DecodeJSON(&m) != nil {
			return
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		switch {
		case strings.EqualFold(m.Room, t.joining):
			t.early = append(t.early, m)
		case m.Room == t.room:
			t.message(m)
		}
	case "joined", "left":
		var who chat.Presence
		if s.Payload.DecodeJSON(&who) != nil || who.Room != t.current() || who.Again || who.Name == t.me() {
			return // everybody in the room is told, this user too
		}
		t.show.notice("%s %s", who.Name, s.Name)
	}
}

// message prints a message unless it was printed before. The caller holds mu.
func (t *talk) message(m chat.Message) {
	if m.Seq <= t.last {
		return
	}
	t.last = m.Seq
	if t.mine[m.ID] {
		delete(t.mine, m.ID)
		return
	}
	t.show.message(m)
}

func (t *talk) connected(context.Context) {
	if !t.lost {
		return // the first connection
	}
	t.back(context.Background())
	t.rejoin(context.Background(), client.Gap{})
}

// back is called when the same connection goes on: the room is still joined.
func (t *talk) back(context.Context) {
	t.lost = false
	t.show.notice("Connected again.")
}

// rejoin makes run join the room again, and ask for what it missed.
func (t *talk) rejoin(context.Context, client.Gap) {
	select {
	case t.again <- struct{}{}:
	default: // it is going to do that already
	}
}

func (t *talk) disconnected(_ context.Context, reason error) {
	if !t.lost && !errors.Is(reason, client.ErrClosed) {
		t.lost = true
		t.show.notice("Connection lost. What you type is sent when it is back.")
	}
}
