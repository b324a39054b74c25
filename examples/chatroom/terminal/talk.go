package terminal

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/examples/chatroom/chat"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
)

const (
	retryPause = time.Second // before a message is sent again
	patience   = 15 * time.Second
	leaveTime  = 2 * time.Second // for signing out when the program ends
)

// talk is one user talking in one room at a time.
type talk struct {
	client *client.Client
	show   *printer
	again  chan struct{} // has an element after reconnecting
	quit   bool          // /quit was typed
	lost   bool          // the connection is lost; used by the hooks

	mu      sync.Mutex
	name    string // as the server returned it; changed by run
	room    string
	last    uint64          // Seq of the last message that was printed
	joining string          // the room that is being joined, if any
	early   []chat.Message  // its messages that came before the reply
	mine    map[string]bool // ids of messages that were typed here and are not printed
}

func newTalk(opts Options, out io.Writer) *talk {
	t := &talk{name: opts.Name, show: &printer{out: out}, again: make(chan struct{}, 1), mine: make(map[string]bool)}
	t.client = client.New(opts.Dialer, client.Options{
		Keys:    opts.Keys,
		Timeout: patience,
		Hooks: client.Hooks{
			OnServerSignal: t.signal,
			OnConnected:    t.connected,
			OnDisconnected: t.disconnected,
			OnAway:         t.disconnected,
			OnBack:         t.back,
			OnGap:          t.rejoin,
		},
	})
	return t
}

// run runs lines until they end.
func (t *talk) run(ctx context.Context, lines <-chan string) error {
	for !t.quit {
		var err error
		select {
		case line, more := <-lines:
			if !more {
				return nil
			}
			err = t.line(ctx, line)
		case <-t.again:
			err = t.enterAgain(ctx)
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// enter signs in if necessary and joins a room. It tries again if the connection is lost.
func (t *talk) enter(ctx context.Context, room string) error {
	for {
		err := t.signIn(ctx)
		if err == nil {
			err = t.join(ctx, room)
		}
		if err == nil || !temporary(err) && !newcomer(err) {
			return err
		}
		t.show.notice("Trying again: %v", err)
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// enterAgain enters the room after reconnecting. If the room is full by now, the user may
// wait or join another.
func (t *talk) enterAgain(ctx context.Context) error {
	err := t.enter(ctx, t.current())
	if errors.Is(err, chat.ErrRoomFull) {
		t.show.notice("You are not in %s: %s. /join %[1]s tries again.", t.current(), chat.ErrRoomFull.Message)
		return nil
	}
	return err
}

func (t *talk) signIn(ctx context.Context) error {
	if err := t.client.Connect(ctx); err != nil {
		return err
	}
	if s, ok := t.client.Session(); ok {
		info, err := session.InfoAs[chat.SignIn](s)
		if err == nil && info.Name == t.name {
			return nil
		}
		if err := t.client.CloseSession(ctx); err != nil {
			return err
		}
	}
	me, err := client.Call[chat.SignIn](ctx, t.client, "signin", chat.SignIn{Name: t.name})
	if err == nil {
		t.mu.Lock()
		t.name = me.Name
		t.mu.Unlock()
	}
	return err
}

// join joins a room and prints the messages since it was last joined.
func (t *talk) join(ctx context.Context, room string) error {
	t.mu.Lock()
	in := chat.Join{Room: room}
	before := t.room
	if strings.EqualFold(before, room) {
		in.After, in.Again = t.last, t.last > 0
	}
	t.joining, t.early = room, nil
	t.mu.Unlock()

	room, missed, err := t.missed(ctx, in)
	t.mu.Lock()
	t.joining = ""
	if err == nil {
		t.room, t.last = room, in.After
		for _, m := range append(missed, t.early...) {
			t.message(m)
		}
	}
	t.mu.Unlock()
	if err == nil && before != room && before != "" {
		// If that fails the connection is lost, and the room with it.
		_, _ = client.Call[struct{}](ctx, t.client, "leave", chat.InRoom{Room: before})
	}
	return err
}

// missed joins a room. It returns the room's name as the server spells it, and the
// messages after in.After, or those of one page if that is zero.
func (t *talk) missed(ctx context.Context, in chat.Join) (room string, messages []chat.Message, err error) {
	out, err := client.Call[chat.Joined](ctx, t.client, "join", in)
	page := chat.Page{Messages: out.Messages, Earlier: out.Earlier}
	gap := func() bool { return in.After > 0 && len(page.Messages) > 0 && page.Messages[0].Seq > in.After+1 }
	pages := [][]chat.Message{page.Messages} // the last one first
	for err == nil && page.Earlier && gap() {
		page, err = t.earlier(ctx, chat.Earlier{Room: in.Room, Before: page.Messages[0].Seq})
		pages = append(pages, page.Messages)
	}
	if err == nil && gap() {
		t.show.notice("The server no longer has %d messages before these.", page.Messages[0].Seq-in.After-1)
	}
	slices.Reverse(pages)
	return out.Room, slices.Concat(pages...), err
}

// earlier asks for a page, and waits if the server says it is too fast.
func (t *talk) earlier(ctx context.Context, in chat.Earlier) (chat.Page, error) {
	for {
		page, err := client.Call[chat.Page](ctx, t.client, "earlier", in)
		if !errors.Is(err, chat.ErrTooFast) {
			return page, err
		}
		if err := pause(ctx); err != nil {
			return page, err
		}
	}
}

// say sends a message until the server stores or refuses it.
func (t *talk) say(ctx context.Context, text string) error {
	say := chat.Say{Room: t.current(), ID: rand.Text(), Text: text}
	t.mu.Lock()
	t.mine[say.ID] = true
	t.mu.Unlock()
	for {
		_, err := client.Call[chat.Message](ctx, t.client, "say", say)
		switch {
		case err == nil:
			return nil
		case newcomer(err):
			if err := t.enter(ctx, say.Room); errors.Is(err, chat.ErrRoomFull) {
				return t.refused(ctx, err)
			} else if err != nil {
				return err
			}
		case temporary(err):
			if err := pause(ctx); err != nil {
				return err
			}
		default:
			return t.refused(ctx, err)
		}
	}
}

// refused shows why the server has refused something. Other errors end the program.
func (t *talk) refused(ctx context.Context, err error) error {
	var app *protocol.Error
	switch {
	case ctx.Err() != nil:
		return err
	case errors.As(err, &app):
		t.show.notice("Not done: %s", app.Message)
		return nil
	case errors.Is(err, protocol.ErrTooBig): // too long to ask
		t.show.notice("Not done: that is too long")
		return nil
	}
	return err
}

// temporary reports whether to try again. A message is stored once, so that is safe.
func temporary(err error) bool {
	var late *client.TimeoutError
	return errors.Is(err, client.ErrDisconnected) || errors.As(err, &late) || errors.Is(err, chat.ErrTooFast) ||
		errors.Is(err, protocol.ErrInternal) || errors.Is(err, protocol.ErrShutdown)
}

// newcomer reports whether to enter again, because the connection is a new one.
func newcomer(err error) bool {
	return errors.Is(err, chat.ErrNotInRoom) || errors.Is(err, chat.ErrSignedOut)
}

func pause(ctx context.Context) error {
	timer := time.NewTimer(retryPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leave closes the session if the name is to be free.
func (t *talk) leave(ctx context.Context, signOut bool) error {
	if !signOut && !t.quit {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	return t.client.CloseSession(ctx)
}

func (t *talk) me() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.name
}

func (t *talk) current() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.room
}
