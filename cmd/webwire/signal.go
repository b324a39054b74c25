package main

import (
	"context"
	"flag"
)

const signalHelp = `PAYLOAD is sent as UTF-8 text; - is the standard input. Servers do not answer
signals: exit code 0 says that the signal was sent.
`

func sendSignal(ctx context.Context, p *program, flags *flag.FlagSet, args []string) error {
	conn := connectionFlags(flags)
	conn.sessionFlag(flags)
	binary := flags.Bool("binary", false, "send the payload as binary instead of UTF-8 text")
	args, err := parse(flags, args, 2, 3)
	if err != nil {
		return err
	}
	load, err := p.argument(args, 2, *binary)
	if err != nil {
		return err
	}
	c, within, stop, err := conn.connect(ctx, args[0])
	if err != nil {
		return err
	}
	defer stop()
	if err := c.Signal(within, args[1], load); err != nil {
		return err
	}
	if err := c.Close(); err != nil { // sends what Signal accepted
		return err
	}
	if conn.json {
		newPrinter(p.stdout, true).object(answer{OK: true})
	}
	return nil
}
