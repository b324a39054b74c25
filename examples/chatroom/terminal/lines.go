package terminal

import (
	"context"
	"strings"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/examples/chatroom/chat"
)

// line runs a command, which begins with a slash, or sends a message. Two slashes begin
// a message that begins with one.
func (t *talk) line(ctx context.Context, line string) error {
	line = strings.TrimSpace(line)
	command, isCommand := strings.CutPrefix(line, "/")
	switch {
	case line == "":
		return nil
	case !isCommand:
		return t.say(ctx, line)
	case strings.HasPrefix(command, "/"):
		return t.say(ctx, command)
	}
	name, argument, _ := strings.Cut(command, " ")
	argument = strings.TrimSpace(argument)
	switch name {
	case "join":
		return t.joinCommand(ctx, strings.TrimPrefix(argument, "#"))
	case "rooms":
		return t.roomsCommand(ctx)
	case "who":
		return t.whoCommand(ctx)
	case "quit":
		t.quit = true
	case "help":
		t.show.notice("/join ROOM   /rooms   /who   /quit   //text says /text")
	default:
		t.show.notice("There is no /%s. Type /help for the commands.", name)
	}
	return nil
}

func (t *talk) joinCommand(ctx context.Context, room string) error {
	if err := t.enter(ctx, room); err != nil {
		return t.refused(ctx, err)
	}
	t.show.notice("You are in %s.", t.current())
	return nil
}

func (t *talk) roomsCommand(ctx context.Context) error {
	rooms, err := client.Call[[]chat.Room](ctx, t.client, "rooms", struct{}{})
	if err != nil {
		return t.failed(ctx, err)
	}
	for _, r := range rooms {
		t.show.notice("%-24s %d here", r.Room, r.Members)
	}
	return nil
}

func (t *talk) whoCommand(ctx context.Context) error {
	names, err := client.Call[[]string](ctx, t.client, "who", chat.InRoom{Room: t.current()})
	if err != nil {
		return t.failed(ctx, err)
	}
	t.show.notice("In %s: %s", t.current(), strings.Join(names, ", "))
	return nil
}

// failed shows why a command failed. It is not repeated.
func (t *talk) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if temporary(err) {
		t.show.notice("Not now: %v", err)
		return nil
	}
	return t.refused(ctx, err)
}
