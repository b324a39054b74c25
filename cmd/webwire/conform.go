package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/webwire-go/webwire/internal/check/interop"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

const conformHelp = `The contract is what implementations of WebWire are tested with. The server has
to answer the requests of the contract, such as echo and inspect, which
docs/command.md lists. It is tested in the version that it speaks to clients
that do not negotiate, or in those of -version.
`

// checked is the JSON form of a step of the contract.
type checked struct {
	Version string `json:"version"`
	Step    string `json:"step"`
	Result  string `json:"result"` // ok, FAIL or skip
	Detail  string `json:"detail,omitempty"`
}

func conform(ctx context.Context, p *program, flags *flag.FlagSet, args []string) error {
	conn := connectionFlags(flags)
	silent := flags.Bool("silent", false, "do not negotiate the version, as the published clients")
	args, err := parse(flags, args, 1, 1)
	if err != nil {
		return err
	}
	e, err := parseURL(args[0])
	if err != nil {
		return err
	}
	d, err := conn.dialer(e)
	if err != nil {
		return err
	}
	network, err := conn.network(e, *silent)
	if err != nil {
		return err
	}
	_, _, stop, err := conn.connect(ctx, args[0]) // steps try again and again
	if err != nil {
		return err
	}
	stop()
	versions := conn.versions
	if versions == nil {
		v, err := conn.endpointVersion(ctx, d)
		if err != nil {
			return err
		}
		versions = []protocol.Version{v}
	}
	out := newPrinter(p.stdout, conn.json)
	failures := 0
	for _, v := range versions {
		n, err := out.contract(ctx, interop.Target{Network: network, Addr: e.addr, Version: v})
		if err != nil {
			return err
		}
		failures += n
	}
	if failures > 0 {
		return fmt.Errorf("the server breaks the contract: steps that failed: %d", failures)
	}
	return nil
}

// contract tries a server and prints how each step went.
func (p *printer) contract(ctx context.Context, t interop.Target) (failed int, err error) {
	first, skipped := true, 0
	var unreachable error
	passed, failed := interop.RunContract(ctx, t, func(r interop.Result) {
		c := checked{Version: t.Version.String(), Step: r.Step, Result: "ok"}
		switch {
		case r.Skipped != "":
			c.Result, c.Detail = "skip", r.Skipped
			skipped++
		case r.Err != nil:
			c.Result, c.Detail = "FAIL", r.Err.Error()
			if first { // which is to connect
				unreachable = connectError{cmp.Or(errors.Unwrap(r.Err), r.Err)}
			}
		}
		first = false
		p.checked(c)
	})
	switch {
	case ctx.Err() != nil:
		return failed, ctx.Err()
	case unreachable != nil:
		return failed, unreachable
	}
	if !p.json {
		p.line("%v: %d passed, %d failed, %d skipped", t.Version, passed, failed, skipped)
	}
	return failed, nil
}

func (p *printer) checked(c checked) {
	if p.json {
		p.object(c)
		return
	}
	color := map[string]string{"ok": green, "FAIL": red, "skip": dim}[c.Result]
	p.line("%s %s", p.paint(color, fmt.Sprintf("%-4s", c.Result)), c.Step)
	if c.Detail == "" {
		return
	}
	detail, rest, _ := strings.Cut(c.Detail, "\n")
	if rest != "" {
		detail += fmt.Sprintf(" (%d more)", strings.Count(rest, "\n")+1)
	}
	p.line("     %s", printable(detail))
}

// network returns how the contract finds the server.
func (c *connection) network(e endpoint, silent bool) (interop.Network, error) {
	conf := &tls.Config{InsecureSkipVerify: c.insecure} // what -insecure asks for
	switch e.scheme {
	case "ws":
		return interop.WebSocket{Silent: silent, Header: c.header, Path: e.url.RequestURI()}, nil
	case "wss":
		return interop.WebSocket{Silent: silent, Header: c.header, Path: e.url.RequestURI(), TLS: conf}, nil
	}
	switch {
	case silent:
		return nil, usage("-silent is for WebSocket")
	case e.scheme == "tcp":
		return interop.Stream{}, nil
	case e.scheme == "tls":
		return interop.Stream{TLS: conf}, nil
	}
	return nil, usage("the contract is not tried over unix sockets")
}

// endpointVersion returns the version that an endpoint speaks to clients that do not
// negotiate: 1.2 if it does not say.
func (c *connection) endpointVersion(ctx context.Context, d transport.Dialer) (protocol.Version, error) {
	prober, ok := d.(transport.Prober)
	if !ok {
		return protocol.V1_2, nil
	}
	within, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	text, err := prober.Probe(within, transport.DialOptions{})
	var refused *transport.RefusedError
	switch {
	case errors.As(err, &refused): // it has no metadata
		return protocol.V1_2, nil
	case err != nil:
		return 0, connectError{err}
	}
	var meta protocol.Metadata
	if err := json.Unmarshal(text, &meta); err != nil {
		return 0, connectError{fmt.Errorf("metadata: %w", err)}
	}
	return meta.Version, nil
}
