package sim

import (
	"fmt"
	"sync"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// history is what happened. Its methods may be called from any goroutine.
type history struct {
	damaged bool          // messages were changed on the way: most rules do not hold then
	modern  bool          // the protocol is 3.0: deadlines and cancels reach handlers
	notice  time.Duration // within which a cancel, or the loss of its connection, is noticed

	talks map[protocol.ConnID]*talk // guarded by the world's talking

	mu         sync.Mutex
	requests   []*request
	unknown    []string // payloads of executions that belong to no request
	signals    map[signal]*sending
	receipts   []receipt
	conns      map[string][]connEvent
	closed     map[string]bool // keys of sessions that somebody wanted to close
	farewell   signal          // a broadcast that comes after all other signals; zero: none
	violations []string        // found while it happened
}

// request is a request of a client or a server, and what became of it.
type request struct {
	id         int
	what       string
	want       string    // the reply, if it succeeds
	due        time.Time // when the requester stops waiting by itself; zero: never
	outcomes   []outcome
	decided    time.Time // when the outcome was known
	executions []*handling
	items      *items // of its reply; nil if that is not streamed
}

type outcome struct {
	reply string
	err   error
}

// signal is the seq-th signal of a sender: a client, a server's connection, or a server that
// broadcasts.
type signal struct {
	from string
	seq  int
}

// sending is what its sender knows of a signal.
type sending struct {
	refused bool // it got an error
}

// receipt is the arrival of a signal at a server's connection or a client.
type receipt struct {
	at string
	signal
	lost  uint64 // if not zero: the client was told that so many messages are lost
	fresh bool   // the client has a new connection
}

// connEvent is something that happened on a server's connection.
type connEvent string

const (
	evConnected    connEvent = "OnClientConnected"
	evHandler      connEvent = "handler"
	evAway         connEvent = "OnClientAway"
	evBack         connEvent = "OnClientBack"
	evDisconnected connEvent = "OnClientDisconnected"
)

func newHistory() *history {
	return &history{
		talks:   make(map[protocol.ConnID]*talk),
		signals: make(map[signal]*sending),
		conns:   make(map[string][]connEvent),
		closed:  make(map[string]bool),
	}
}

// request begins a request.
func (h *history) request(what string) *request {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := &request{id: len(h.requests), what: what}
	h.requests = append(h.requests, r)
	return r
}

func (h *history) outcome(r *request, reply string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.outcomes = append(r.outcomes, outcome{reply, err})
	r.decided = time.Now()
}

// sending begins the sending of a signal.
func (h *history) sending(s signal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.signals[s] = &sending{}
}

func (h *history) refused(s signal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.signals[s].refused = true
}

func (h *history) received(at string, s signal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.receipts = append(h.receipts, receipt{at: at, signal: s})
}

// gap notes that a client was told of messages that are lost.
func (h *history) gap(at string, lost uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.receipts = append(h.receipts, receipt{at: at, lost: lost})
}

// fresh notes that a client has a new connection.
func (h *history) fresh(at string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.receipts = append(h.receipts, receipt{at: at, fresh: true})
}

// has reports whether a signal was received.
func (h *history) has(s signal) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.receipts {
		if r.signal == s {
			return true
		}
	}
	return false
}

func (h *history) conn(name string, e connEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[name] = append(h.conns[name], e)
}

func (h *history) closing(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed[key] = true
}

func (h *history) wasClosed(key string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed[key]
}

func (h *history) violated(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.violations = append(h.violations, fmt.Sprintf(format, args...))
}
