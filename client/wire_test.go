package client_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// connectRaw connects a client of 3.0 to the test, which is its server.
func connectRaw(t *testing.T, opts client.Options) (*client.Client, *peer) {
	t.Helper()
	ln := memory.Listen()
	t.Cleanup(func() { ln.Close() })
	opts.Logger = discard
	c := dial(t, ln, opts)
	connected := make(chan error, 1)
	go func() { connected <- c.Connect(t.Context()) }()
	p := accept(t, ln, protocol.V3_0, protocol.Conf{ReadTimeout: time.Minute})
	if err := <-connected; err != nil {
		t.Fatal(err)
	}
	return c, p
}

// failure compares the next message with a failure.
func (p *peer) failure(id protocol.ID, code protocol.FailureCode, executed protocol.Executed) {
	p.t.Helper()
	m := p.next()
	f, err := m.Failure()
	if err != nil || m.ID != id || f.Code != code || f.Executed != executed {
		p.t.Errorf("%v of %x: %v, %v; want failure %d, executed %d", m.Kind, m.ID, f, err, code, executed)
	}
}

func (p *peer) ask(n uint64, name string, head protocol.Head) protocol.ID {
	p.t.Helper()
	id := protocol.NewID(n)
	p.send(protocol.Message{Kind: protocol.Request, ID: id, Name: name, Head: head, Payload: protocol.Text("x")})
	return id
}

// What a server's requests may meet with at a client, message by message.
func TestRequestsOfTheServerOnTheWire(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mux client.Mux
		var executed, running atomic.Int32
		var trace protocol.TraceContext
		causes := make(chan error, 100)
		mux.Request("count", func(_ context.Context, r *client.Request) (protocol.Payload, error) {
			executed.Add(1)
			trace, _ = r.Meta.Trace()
			return r.Payload, nil
		})
		mux.Request("wait", func(ctx context.Context, _ *client.Request) (protocol.Payload, error) {
			running.Add(1)
			defer running.Add(-1)
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return protocol.Payload{}, ctx.Err()
		})
		_, p := connectRaw(t, client.Options{Handler: &mux})
		reply := func(id protocol.ID) {
			t.Helper()
			if m := p.next(); m.Kind != protocol.Reply || m.ID != id {
				t.Errorf("%v of %x instead of the reply to %x", m.Kind, m.ID, id)
			}
		}
		cancel := func(id protocol.ID, why protocol.CancelReason) {
			p.send(protocol.CancelBody{ID: id, Reason: why}.Message())
		}

		p.failure(p.ask(1, "count", protocol.Head{}.Append(128, nil)), protocol.FailureUnsupported, protocol.ExecutedNo)
		if executed.Load() != 0 {
			t.Error("a request with a critical field was executed")
		}
		sent := protocol.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}, Flags: 1}
		reply(p.ask(2, "count", protocol.Head{}.Append(8, []byte("x")).AppendTrace(sent).Append(63, nil)))
		if trace != sent {
			t.Errorf("trace context %v", trace)
		}
		none := p.ask(3, "none", nil)
		if m := p.next(); m.ID != none || !errors.Is(m.Err(), protocol.ErrNoHandler) {
			t.Errorf("without a handler the answer to %x is %v", m.ID, m.Err())
		}

		for _, id := range []protocol.ID{protocol.NewID(2), protocol.NewID(99)} { // answered, unknown
			cancel(id, protocol.CancelGaveUp)
			p.send(protocol.Message{Kind: protocol.Credit, ID: id, Number: 1 << 40})
		}
		reply(p.ask(4, "count", nil))

		p.failure(p.ask(5, "wait", protocol.Head{}.AppendDeadline(time.Second)), protocol.FailureDeadline, protocol.ExecutedMaybe)
		if cause := <-causes; !errors.Is(cause, context.DeadlineExceeded) {
			t.Errorf("at its deadline the handler ended with %v", cause)
		}

		const most = 16
		for n := range uint64(most) {
			p.ask(100+n, "wait", nil)
		}
		synctest.Wait()
		if n := running.Load(); n != most {
			t.Errorf("%d handlers run", n)
		}
		p.failure(p.ask(6, "count", nil), protocol.FailureTooMany, protocol.ExecutedNo)
		cancel(protocol.NewID(107), protocol.CancelGaveUp)
		cancel(protocol.NewID(107), protocol.CancelGaveUp)
		p.failure(protocol.NewID(107), protocol.FailureCancelled, protocol.ExecutedMaybe)
		if cause := <-causes; !errors.Is(cause, context.Canceled) {
			t.Errorf("the cancelled handler ended with %v", cause)
		}
		reply(p.ask(7, "count", nil)) // there is room for one again, and no second answer
	})
}

// Items below the limit arrive, one beyond it ends the connection. The client raises the
// limit, once, when half of it was consumed.
func TestItemsAndCredit(t *testing.T) {
	const size = 1000
	const cost = size + protocol.ItemOverhead
	const credit = 128 << 10
	const first = (credit + cost - 1) / cost // items that may be sent at first
	for _, beyond := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			c, p := connectRaw(t, client.Options{})
			take := make(chan bool)
			ended := make(chan error, 1)
			taken := 0
			go func() {
				var last error
				for _, err := range c.Stream(t.Context(), "s", protocol.Text("x")) {
					if last = err; err == nil {
						taken++
					}
					<-take
				}
				ended <- last
			}()
			m := p.next()
			if !m.Head.Stream() {
				t.Fatalf("the client sent %v without the field", m.Kind)
			}
			send := func() {
				p.send(protocol.Message{Kind: protocol.Item, ID: m.ID, Payload: protocol.Bytes(make([]byte, size))})
			}
			for range first {
				send()
			}
			synctest.Wait()
			if taken != 1 {
				t.Fatalf("%d items were taken", taken)
			}
			if beyond {
				send()
				var closed *transport.CloseError
				for {
					_, err := p.conn.Read(nil)
					if err == nil {
						continue
					}
					if !errors.As(err, &closed) || closed.Status != transport.StatusProtocolError {
						t.Errorf("the socket ends with %v", err)
					}
					break
				}
				close(take)
				if err := <-ended; !errors.Is(err, client.ErrDisconnected) || !client.MaybeExecuted(err) {
					t.Errorf("the stream ends with %v", err)
				}
				return
			}
			arrived := make(chan protocol.Message, 100)
			go func() {
				for {
					b, err := p.conn.Read(nil)
					if err != nil {
						return
					}
					if m, err := protocol.V3_0.Parse(b); err == nil && heard(m.Kind) {
						arrived <- m
					}
				}
			}()
			for consumed := cost; ; consumed += cost {
				synctest.Wait()
				if len(arrived) > 0 {
					if consumed < credit/2 || consumed > credit/2+2*cost {
						t.Errorf("credit comes when %d bytes were consumed", consumed)
					}
					break
				}
				take <- true
			}
			got := <-arrived
			if got.Kind != protocol.Credit || got.ID != m.ID || got.Number <= credit || got.Number > 2*credit || len(arrived) > 0 {
				t.Errorf("%v of %x, limit %d, and %d more", got.Kind, got.ID, got.Number, len(arrived))
			}
			for at := uint64(first * cost); at < got.Number; at += cost {
				send()
			}
			p.send(protocol.Message{Kind: protocol.Reply, ID: m.ID})
			close(take)
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
