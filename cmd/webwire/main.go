// Command webwire talks to WebWire servers, serves clients, and explains messages.
//
//	go install github.com/webwire-go/webwire/cmd/webwire@latest
//	webwire help
//
// docs/command.md shows what each of its commands prints.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// command is a subcommand.
type command struct {
	name, args, does string
	run              func(ctx context.Context, p *program, flags *flag.FlagSet, args []string) error
}

func (c command) synopsis() string { return strings.TrimSpace(c.name + " [flags] " + c.args) }

// commands are all subcommands, in the order of the help text.
var commands = []command{
	{"serve", "", "serve clients: echo what they send, and print it", serve},
	{"request", "URL NAME [PAYLOAD]", "send a request and print the reply", request},
	{"stream", "URL NAME [PAYLOAD]", "send a request and print a streamed reply", streamItems},
	{"signal", "URL NAME [PAYLOAD]", "send a signal", sendSignal},
	{"listen", "URL", "print signals, requests and sessions", listen},
	{"subscribe", "URL TOPIC", "print the publications of a topic", subscribe},
	{"bench", "URL", "put load on a server and measure its replies", bench},
	{"decode", "HEX...", "explain a message byte by byte", decode},
	{"conform", "URL", "test a server against the conformance contract", conform},
	{"version", "", "print the version of the command", version},
}

const urls = `
A URL is ws://HOST[:PORT][/PATH] or wss:// for WebSocket (or http://, https://),
tcp://HOST:PORT or tls:// for a byte stream, or unix:PATH for one over a unix
socket.
`

const exits = `
Exit codes:
  0    done; serve, listen and subscribe were interrupted
  1    it failed: the server answered with an error, a step of the contract
       or a request of a benchmark failed, a message is malformed
  2    the command line is wrong, or the request cannot be sent as it is
  3    the server cannot be reached, refuses the connection or speaks another
       version: nothing was executed
  4    no outcome: the connection was lost or the time is up; the server may
       have executed the request
  130  interrupted before it was done
`

// program is what a run of the command has to do with its surroundings.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

func main() {
	p := &program{os.Stdin, os.Stdout, os.Stderr}
	os.Exit(p.run(untilInterrupted(), os.Args[1:]))
}

// untilInterrupted returns a context that ends with the first signal. The second one ends the
// process at once, also where a shell has it ignore signals.
func untilInterrupted() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitInterrupted)
	}()
	return ctx
}

// run runs the subcommand that args name and returns the exit code.
func (p *program) run(ctx context.Context, args []string) int {
	err := p.dispatch(ctx, args)
	code := exitCode(ctx, err)
	var unsaid silentError
	quiet := code == exitInterrupted && errors.Is(err, context.Canceled) // whoever interrupted it knows
	if err != nil && !quiet && !errors.As(err, &unsaid) {
		fmt.Fprintln(p.stderr, "webwire:", printable(err.Error()))
	}
	return code
}

func (p *program) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return usage("a command is missing; webwire help lists them")
	}
	name, args := args[0], args[1:]
	if slices.Contains([]string{"help", "-h", "-help", "--help"}, name) {
		if len(args) == 0 {
			p.help(p.stdout)
			return nil
		}
		name, args = args[0], []string{"-help"}
	}
	for _, c := range commands {
		if c.name == name {
			return p.start(ctx, c, args)
		}
	}
	return usage("there is no command %q; webwire help lists them", name)
}

// start runs a subcommand, or prints its help text if that is what args ask for.
func (p *program) start(ctx context.Context, c command, args []string) error {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	err := c.run(ctx, p, flags, args)
	if errors.Is(err, flag.ErrHelp) {
		p.commandHelp(c, flags)
		return nil
	}
	if asUsage(err) {
		return fmt.Errorf("%w\nusage: webwire %s\nwebwire help %s lists the flags", err, c.synopsis(), c.name)
	}
	return err
}

func (p *program) help(w io.Writer) {
	fmt.Fprint(w, "webwire talks to WebWire servers, serves clients, and explains messages.\n\nUsage: webwire COMMAND [flags] [arguments]\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-9s %-19s %s\n", c.name, c.args, c.does)
	}
	fmt.Fprint(w, "\nwebwire help COMMAND lists the flags of a command. Flags may follow arguments;\nall after -- are arguments. NO_COLOR=1 turns colors off.\n", urls, exits)
}

func (p *program) commandHelp(c command, flags *flag.FlagSet) {
	fmt.Fprintf(p.stdout, "Usage: webwire %s\n\n%s.\n", c.synopsis(), capital(c.does))
	if more := details[c.name]; more != "" {
		fmt.Fprint(p.stdout, "\n", more)
	}
	if !slices.Contains([]string{"decode", "serve", "version"}, c.name) {
		fmt.Fprint(p.stdout, urls)
	}
	if c.name != "version" { // which has none
		fmt.Fprintln(p.stdout, "\nFlags:")
		flags.SetOutput(p.stdout)
		flags.PrintDefaults()
	}
	fmt.Fprintln(p.stdout, "\nwebwire help lists the exit codes.")
}

// details are what the help texts of commands say besides the flags.
var details = map[string]string{
	"serve":     serveHelp,
	"request":   requestHelp,
	"stream":    streamHelp,
	"signal":    signalHelp,
	"listen":    listenHelp,
	"subscribe": subscribeHelp,
	"bench":     benchHelp,
	"decode":    decodeHelp,
	"conform":   conformHelp,
	"version":   versionHelp,
}

func capital(text string) string { return string(text[0]-'a'+'A') + text[1:] }

// parse parses flags and arguments in any order and returns the arguments, of which there
// must be least to most. After "--" there are only arguments.
func parse(flags *flag.FlagSet, args []string, least, most int) (positional []string, err error) {
	for {
		if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
			return nil, err
		} else if err != nil {
			return nil, usage("%w", err)
		}
		rest := flags.Args()
		if used := len(args) - len(rest); used > 0 && args[used-1] == "--" {
			positional = append(positional, rest...)
			break
		}
		if len(rest) == 0 {
			break
		}
		positional, args = append(positional, rest[0]), rest[1:]
	}
	switch {
	case len(positional) < least:
		return nil, usage("arguments are missing")
	case len(positional) > most:
		return nil, usage("unexpected argument %q", positional[most])
	}
	return positional, nil
}
