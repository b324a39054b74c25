package main

import (
	"context"
	"flag"
	"fmt"
	"sync"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
)

const subscribeHelp = `Each publication is a line, with its position if the topic has a history. The
subscription goes on when the connection is lost and made again; a gap says that
publications are lost. It runs until it is interrupted. It needs protocol 3.0.
`

func subscribe(ctx context.Context, p *program, flags *flag.FlagSet, args []string) error {
	conn := connectionFlags(flags)
	conn.sessionFlag(flags)
	s := &subscriber{connection: conn, ready: make(chan struct{})}
	flags.Func("since", "`position` after which publications are wanted, 0 for all that are kept\n(default: only those that follow)", s.setSince)
	presence := flags.Bool("presence", false, "print the members of the topic, and how they change")
	flags.Func("cancel-after", "leave the topic after a `number` of publications, or a duration such as 2s", s.most.set)
	args, err := parse(flags, args, 2, 2)
	if err != nil {
		return err
	}
	s.topic = args[1]
	s.out = newPrinter(p.stdout, conn.json)
	if *presence {
		s.opts.Presence = s.member
	}
	s.opts.OnGap = s.gap
	failed := make(chan error, 1)
	opts := conn.options()
	opts.DisableAutoconnect = false
	opts.Hooks = listenHooks(s.out, failed)
	opts.Hooks.OnServerSignal = nil
	said := opts.Hooks.OnConnected
	opts.Hooks.OnConnected = func(ctx context.Context) {
		said(ctx)
		s.connected.Do(func() { close(s.ready) })
	}
	if s.client, err = conn.client(args[0], opts); err != nil {
		return err
	}
	defer s.client.Close()

	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.run(running) }()
	select {
	case err = <-failed:
		stop()
		<-ended
	case err = <-ended:
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// subscriber prints what happens on a topic.
type subscriber struct {
	*connection
	client *client.Client
	topic  string
	opts   client.SubscribeOptions
	most   enough
	out    *printer

	connected sync.Once
	ready     chan struct{} // closed when it has printed that it is connected
}

// setSince parses a position as it is printed, or zero.
func (s *subscriber) setSince(text string) error {
	s.opts.Since = new(protocol.Position)
	if text == "0" {
		return nil
	}
	if _, err := fmt.Sscanf(text, "%d-%d", &s.opts.Since.Epoch, &s.opts.Since.Offset); err != nil || shown(*s.opts.Since) != text {
		return usage("neither a position such as 17-4 nor 0: %q", text)
	}
	return nil
}

// shown returns a position as text, empty if it is none.
func shown(at protocol.Position) string {
	if at == (protocol.Position{}) {
		return ""
	}
	return fmt.Sprintf("%d-%d", at.Epoch, at.Offset)
}

func (s *subscriber) run(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.client.Connect(within); err != nil {
		return connectError{err}
	}
	select {
	case <-s.ready:
	case <-ctx.Done():
		return nil
	}
	sub, err := s.client.Subscribe(within, s.topic, s.opts)
	if err != nil {
		return outcome(err, s.timeout)
	}
	defer sub.Close()
	s.out.event(event{Event: "subscribed", Name: &s.topic, Position: shown(sub.Position())})
	left := ctx
	if s.most.time > 0 {
		var leave context.CancelFunc
		left, leave = context.WithTimeout(ctx, s.most.time)
		defer leave()
	}
	items := 0
	for m, err := range sub.Messages(left) {
		if err != nil {
			if left.Err() != nil { // or ctx has ended, which is no error either
				return nil
			}
			return err
		}
		s.out.event(event{Event: "publication", Name: &m.Name, Payload: newPayload(m.Payload), Position: shown(m.Position)})
		if items++; items == s.most.items {
			break
		}
	}
	return nil
}

func (s *subscriber) gap(g *client.GapError) {
	lost := "an unknown number of publications is lost"
	if g.Lost > 0 {
		lost = fmt.Sprintf("%d publications are lost", g.Lost)
	}
	s.out.event(event{Event: "gap", Detail: lost, Position: shown(g.Position)})
}

func (s *subscriber) member(e client.PresenceEvent) {
	what := map[protocol.PresenceOp]string{protocol.PresenceEnter: "enter", protocol.PresenceLeave: "leave", protocol.PresenceUpdate: "update"}[e.Op]
	s.out.event(event{Event: what, Member: e.ID, Info: e.Info})
}
