package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// askTimeout is that of server.Conn.Request.
const askTimeout = 30 * time.Second

// due returns when a requester stops waiting by itself.
func due(ctx context.Context, timeout time.Duration) time.Time {
	if deadline, ok := ctx.Deadline(); ok {
		return deadline
	}
	return time.Now().Add(timeout)
}

// ask sends a request to a client and notes its outcome.
func (h *host) ask(ctx context.Context, c *server.Conn, name string, ms int) (string, error) {
	q := h.w.h.request(h.peer(c).name + " asks " + name)
	q.due = due(ctx, askTimeout)
	payload := fmt.Sprintf("%d %d", q.id, ms)
	if name == "echo" || name == "back" {
		q.want = "re: " + payload
	}
	var reply protocol.Payload
	var err error
	h.w.within("a request to a client", askTimeout+time.Second, func() {
		reply, err = c.Request(ctx, name, protocol.Bytes([]byte(payload)))
	})
	h.w.h.outcome(q, string(reply.Data), err)
	return string(reply.Data), err
}

// askAtRandom asks a client something, several times at once, and may not wait for the
// answers.
func (h *host) askAtRandom(r *rand.Rand, c *server.Conn, busy *sync.WaitGroup) {
	for range pick(r, 1, 1, 2, 20) { // more than 16 are refused
		ctx, cancel := context.WithCancel(context.Background())
		if r.IntN(2) == 0 {
			ctx, cancel = context.WithTimeout(ctx, upTo(r, 3*time.Second))
		}
		name, ms, patience := pick(r, "echo", "echo", "back", "fail", "panic", "wait"), r.IntN(300), upTo(r, 5*time.Second)
		busy.Go(func() {
			timer := time.AfterFunc(patience, cancel)
			defer timer.Stop()
			defer cancel()
			_, _ = h.ask(ctx, c, name, ms) // it may fail for many reasons
		})
	}
}

// asked is a client as the handler of the server's requests.
type asked simClient

// HandleSignal is not called: there is a hook.
func (a *asked) HandleSignal(context.Context, *client.Signal) {}

func (a *asked) HandleRequest(ctx context.Context, r *client.Request) (protocol.Payload, error) {
	c := (*simClient)(a)
	payload := string(r.Payload.Data)
	id, ms := -1, 0
	if _, err := fmt.Sscanf(payload, "%d %d", &id, &ms); err != nil {
		id = -1
	}
	begun := c.w.h.executed(id, payload)
	defer begun.end(ctx)
	begun.start(ctx, r.Name == "wait")
	switch r.Name {
	case "wait":
		<-ctx.Done()
		return protocol.Payload{}, ctx.Err()
	case "fail":
		return protocol.Payload{}, &protocol.Error{Code: "FAILED", Message: payload}
	case "panic":
		panic(payload)
	case "back":
		if _, err := c.request("echo", 0, ctx); err != nil {
			return protocol.Payload{}, &protocol.Error{Code: "BACK", Message: "no"}
		}
	default:
		if ms < 60_000 {
			sleep(ctx, time.Duration(ms)*time.Millisecond)
		}
	}
	return protocol.Bytes([]byte("re: " + payload)), nil
}
