package main

import (
	"context"
	"errors"
	"flag"
	"strconv"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

const streamHelp = `PAYLOAD is sent as UTF-8 text; - is the standard input. Items are printed as
they arrive: text with a newline at its end, binary as it is, or as a dump if
the standard output is a terminal. The stream may take any time; -timeout limits
the wait for the connection. An interrupt leaves the stream. It needs protocol
3.0.
`

// enough is when a stream is left early.
type enough struct {
	items int           // zero: any number
	time  time.Duration // zero: any time
}

// set parses a number of items or a duration.
func (l *enough) set(text string) (err error) {
	*l = enough{}
	if l.items, err = strconv.Atoi(text); err != nil {
		l.time, err = time.ParseDuration(text)
	}
	if err != nil || l.items <= 0 && l.time <= 0 {
		return usage("neither a number of items nor a duration such as 2s: %q", text)
	}
	return nil
}

func streamItems(ctx context.Context, p *program, flags *flag.FlagSet, args []string) error {
	conn := sendingFlags(flags)
	var most enough
	flags.Func("cancel-after", "leave the stream after a `number` of items, or a duration such as 2s", most.set)
	c, _, stop, err := conn.open(ctx, p, flags, args)
	if err != nil {
		return conn.unopened(p, err)
	}
	defer stop()
	within, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	if most.time > 0 {
		defer time.AfterFunc(most.time, func() { leave(errEnough) }).Stop()
	}
	out := newPrinter(p.stdout, conn.json)
	began, items := time.Now(), 0
	var failure error
	for item, err := range c.Stream(within, conn.name, conn.load) {
		if err != nil {
			failure = err
			break
		}
		if conn.json {
			out.object(streamed{newPayload(item)})
		} else if err := reply(p.stdout, item); err != nil {
			return err
		}
		if items++; items == most.items {
			break
		}
	}
	if context.Cause(within) == errEnough && errors.Is(failure, context.Canceled) {
		failure = nil
	}
	took := time.Since(began)
	switch {
	case conn.json:
		a := answer{OK: failure == nil, MS: float64(took.Microseconds()) / 1000}
		if failure != nil {
			a.Code, a.Error = protocol.CodeOf(failure), failure.Error()
		}
		out.object(a)
		if failure != nil {
			return silentError{failure}
		}
	case failure != nil:
		return outcome(failure, took)
	}
	return nil
}

// errEnough is why a stream was left.
var errEnough = errors.New("the stream took long enough")

// streamed is the JSON form of an item.
type streamed struct {
	Item *payload `json:"item"`
}
