package interop

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// Target is a contract server to try.
type Target struct {
	Network Network          // nil: WebSocket
	Addr    string           // on the network
	Version protocol.Version // the one to speak. Zero: 1.2
}

// Result says how a step of the contract went.
type Result struct {
	Step    string
	Err     error  // nil: it passed
	Skipped string // why the step cannot be tried on this network or version
}

// stepTimeout bounds each step, connectTimeout the first attempts to connect in it.
const (
	stepTimeout    = time.Minute
	connectTimeout = 30 * time.Second
)

// step is one promise of the contract.
type step struct {
	name string
	run  func(r *run) error
	slow bool // it waits for something to happen or not to happen
}

// steps are all promises, in the order in which they are tried.
var steps []step

func init() {
	steps = append(steps, step{name: "connect", run: connect})
	steps = append(steps, echoSteps...)
	steps = append(steps, replySteps...)
	steps = append(steps, signalSteps...)
	steps = append(steps, sessionSteps...)
	steps = append(steps, lossSteps...)
	steps = append(steps, modernSteps...)
	steps = append(steps, wireSteps...)
	steps = append(steps, flowSteps...)
	steps = append(steps, httpSteps...)
}

// skip is the error of a step that cannot be tried.
type skip string

func (s skip) Error() string { return "skipped: " + string(s) }

func connect(r *run) error {
	_, err := r.peer()
	return err
}

// RunContract tries every step of the contract on a server, and reports each. It
// returns how many passed and failed. If the first fails, which is to connect, there
// are no others.
func RunContract(ctx context.Context, t Target, report func(Result)) (passed, failed int) {
	if t.Network == nil {
		t.Network = WebSocket{}
	}
	if t.Version == 0 {
		t.Version = protocol.V1_2
	}
	if err := steps[0].try(ctx, t); err != nil {
		report(Result{Step: steps[0].name, Err: err})
		return 0, 1
	}
	slow := make(map[string]chan error)
	for _, s := range steps {
		if s.slow {
			done := make(chan error, 1)
			slow[s.name] = done
			go func() { done <- s.try(ctx, t) }() // received below
		}
	}
	for _, s := range steps {
		result := Result{Step: s.name}
		if s.slow {
			result.Err = <-slow[s.name]
		} else {
			result.Err = s.try(ctx, t)
		}
		var skipped skip
		switch {
		case errors.As(result.Err, &skipped):
			result.Skipped, result.Err = string(skipped), nil
		case result.Err == nil:
			passed++
		default:
			failed++
		}
		report(result)
	}
	return passed, failed
}

func (s step) try(ctx context.Context, t Target) (err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	r := &run{Target: t, ctx: ctx}
	defer r.end()
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return s.run(r)
}
