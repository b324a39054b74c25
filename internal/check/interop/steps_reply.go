package interop

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/protocol"
)

// replySteps are about what a server may answer.
var replySteps = []step{
	{name: "empty replies", run: emptyReplies},
	{name: "error replies", run: errorReplies},
	{name: "internal error", run: internalError},
	{name: "unknown request", run: unknownRequest},
	{name: "sleep", run: sleeps},
	{name: "64 requests in flight", run: concurrent},
	{name: "big replies", run: bigReplies},
}

func emptyReplies(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	for name, e := range map[string]protocol.Encoding{"empty": protocol.Binary, "empty-utf8": protocol.UTF8, "empty-utf16": protocol.UTF16} {
		reply, err := p.Request(p.ctx, name, protocol.Text("ignored"))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if len(reply.Data) > 0 || reply.Encoding != e {
			return fmt.Errorf("%s: %d bytes in %v", name, len(reply.Data), reply.Encoding)
		}
	}
	return nil
}

func errorReplies(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	for text, want := range map[string]protocol.Error{
		"CODE":                    {Code: "CODE"},
		"CODE|":                   {Code: "CODE"},
		"CODE|message":            {Code: "CODE", Message: "message"},
		"CODE|" + sample:          {Code: "CODE", Message: sample},
		"C O~D!E|<a>&\"b\"|\\c\n": {Code: "C O~D!E", Message: "<a>&\"b\"|\\c\n"},
	} {
		_, err := p.ask("error", text)
		var got *protocol.Error
		if !errors.As(err, &got) || *got != want {
			return fmt.Errorf("error %q: %v, want %v", text, err, &want)
		}
	}
	return p.expect("echo", "still there", "still there")
}

func internalError(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	return errors.Join(
		p.refused("internal", "", protocol.ErrInternal),
		p.expect("echo", "still there", "still there"),
	)
}

func unknownRequest(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	return errors.Join(
		p.refused("no-such-request", "", &protocol.Error{Code: codeUnknown}),
		p.refused("Echo", "", &protocol.Error{Code: codeUnknown}),
	)
}

func sleeps(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	return errors.Join(p.expect("sleep", "0", "slept 0"), p.expect("sleep", "30", "slept 30"))
}

func concurrent(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	const n = 64
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			// The last ones sleep the shortest: the replies come in another order.
			errs[i] = p.expect("sleep", strconv.Itoa((n-i)/4), "slept "+strconv.Itoa((n-i)/4))
			if errs[i] == nil {
				errs[i] = p.expect("echo", "request "+strconv.Itoa(i), "request "+strconv.Itoa(i))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func bigReplies(r *run) error {
	p, err := r.peer()
	if err != nil {
		return err
	}
	sizes := []int{0, 1, 65536, 5 << 20}
	if manners.Of(r.Version).Conf {
		sizes = []int{0, 1, 4096, MessageSize - 9}
	}
	for _, n := range sizes {
		reply, err := p.Request(p.ctx, "big", protocol.Text(strconv.Itoa(n)))
		if err != nil {
			return fmt.Errorf("big %d: %w", n, err)
		}
		if reply.Encoding != protocol.Binary || !bytes.Equal(reply.Data, bytes.Repeat([]byte("a"), n)) {
			return fmt.Errorf("big %d: %d bytes in %v", n, len(reply.Data), reply.Encoding)
		}
	}
	if manners.Of(r.Version).Conf {
		// A reply that the client would refuse must not cost the connection. Clients that
		// negotiated the version take it.
		_, err := p.Request(p.ctx, "big", protocol.Text(strconv.Itoa(MessageSize-8)))
		if n, ok := r.Network.(WebSocket); !ok || !n.Silent {
			if err != nil {
				return fmt.Errorf("a long reply to a client that negotiated: %w", err)
			}
		} else if !errors.Is(err, &protocol.Error{Code: protocol.CodeTooBig}) {
			return fmt.Errorf("a reply over the limit: %w", err)
		}
		return p.expect("echo", "still there", "still there")
	}
	return nil
}
