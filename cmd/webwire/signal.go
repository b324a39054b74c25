package main

import (
	"context"
	"flag"
)

const signalHelp = `PAYLOAD is sent as UTF-8 text; - is the standard input. Servers do not answer
signals: exit code 0 says that the signal was sent.
`

func sendSignal(ctx context.Context, p *program, flags *flag.FlagSet, args []string) error {
	conn := sendingFlags(flags)
	c, within, stop, err := conn.open(ctx, p, flags, args)
	if err != nil {
		return err
	}
	defer stop()
	if err := c.Signal(within, conn.name, conn.load); err != nil {
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
