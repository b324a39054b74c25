package transporttest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
	"github.com/webwire-go/webwire/transport/transporttest"
)

// faulty returns the two ends of a connection over a network that may fail.
func faulty(t *testing.T, seed uint64) (a, b *transporttest.FaultConn) {
	faults := transporttest.NewFaults(seed)
	t.Cleanup(faults.Close)
	x, y := memory.Pipe()
	return faults.Wrap(x, transport.Limits{}), faults.Wrap(y, transport.Limits{})
}

// Without faults a wrapped connection keeps the promises of a transport.
func TestFaultsAreTransparent(t *testing.T) {
	transporttest.Run(t, transporttest.Harness{
		Bubble: true,
		Pair: func(t *testing.T, a, b transport.Limits) (transport.Conn, transport.Conn) {
			return faultyPair(t, transport.DialOptions{Limits: a}, transport.AcceptOptions{Limits: b})
		},
		Negotiate: func(t *testing.T, offer, supported []string) (transport.Conn, transport.Conn) {
			return faultyPair(t, transport.DialOptions{Protocols: offer}, transport.AcceptOptions{Protocols: supported})
		},
	})
}

// faultyPair returns the two ends of a connection that was dialled over a network that may
// fail.
func faultyPair(t *testing.T, dial transport.DialOptions, accept transport.AcceptOptions) (dialled, accepted transport.Conn) {
	faults := transporttest.NewFaults(1)
	t.Cleanup(faults.Close)
	ln := memory.Listen()
	var accepting sync.WaitGroup
	accepting.Go(func() { accepted, _ = faults.Listener(ln).Accept(accept) })
	dialled, err := faults.Dialer(ln).Dial(t.Context(), dial)
	if err != nil {
		t.Fatal(err)
	}
	accepting.Wait()
	return dialled, accepted
}

func TestCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := faulty(t, 1)
		errs := make(chan error, 2)
		for _, c := range []transport.Conn{a, b} {
			go func() {
				_, err := c.Read(nil)
				errs <- err
			}()
		}
		synctest.Wait()
		a.Cut()
		for range 2 {
			var closed *transport.CloseError
			if err := <-errs; err == nil || errors.As(err, &closed) {
				t.Errorf("Read: %v, want an error of the network", err)
			}
		}
		if err := a.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Write: %v", err)
		}
	})
}

// An end that gets nothing any more notices that by itself, and so does the other
// one if it is not told: pings do not help.
func TestVanish(t *testing.T) {
	for _, c := range []struct {
		in, out      bool
		wantA, wantB bool // whether the end finds out by the silence
	}{
		{true, true, true, true},
		{true, false, true, false}, // a gives up, and b learns of it
		{false, true, false, true}, // b gives up, and a learns of it
	} {
		t.Run(fmt.Sprintf("in=%t,out=%t", c.in, c.out), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := faulty(t, 1)
				start := time.Now()
				silent := func(conn transport.Conn) chan bool {
					ch := make(chan bool, 1)
					go func() {
						for {
							_, err := conn.Read(nil)
							if err != nil {
								ch <- errors.Is(err, os.ErrDeadlineExceeded)
								return
							}
						}
					}()
					return ch
				}
				atA, atB := silent(a), silent(b)
				if err := a.Ping(); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				a.Vanish(c.in, c.out)
				for range 4 {
					a.Ping()
					b.Ping()
					a.Write([]byte("lost"))
					time.Sleep(5 * time.Second)
				}
				if got := <-atA; got != c.wantA {
					t.Errorf("a noticed the silence: %t", got)
				}
				if got := <-atB; got != c.wantB {
					t.Errorf("b noticed the silence: %t", got)
				}
				// Pings of the end that is heard are signs of life: add their time.
				if took := time.Since(start); took > 50*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A network that is gone takes some bytes, then Write waits for its limit of time.
func TestVanishedWritesAreStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := faulty(t, 1)
		a.Vanish(true, true)
		start := time.Now()
		for n := 0; ; n++ {
			if err := a.Write(make([]byte, 10_000)); err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) || n < 10 || n > 100 {
					t.Errorf("Write %d: %v", n, err)
				}
				break
			}
		}
		if took := time.Since(start); took != transport.DefaultWriteTimeout {
			t.Errorf("it took %v", took)
		}
	})
}

func TestDelayAndSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := faulty(t, 1)
		b.Delay(time.Second)
		if err := a.Write([]byte("late")); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if msg, err := b.Read(nil); string(msg) != "late" || err != nil {
			t.Fatalf("Read %q, %v", msg, err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("the message took %v", took)
		}

		b.Delay(0)
		b.Slow(time.Second)
		start = time.Now()
		if err := a.Write([]byte("1"), []byte("2"), []byte("3")); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := b.Read(nil); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("three messages took %v", took)
		}
	})
}

// A delay does not limit how much arrives per second, up to what is under way at once.
func TestDelayIsNoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := faulty(t, 1)
		b.Delay(time.Second)
		write := func(n, size int) {
			for i := range n {
				msg := make([]byte, size)
				msg[0] = byte(i)
				if err := a.Write(msg); err != nil {
					t.Error(err)
				}
			}
		}
		read := func(n int, want time.Duration) {
			t.Helper()
			start := time.Now()
			for i := range n {
				if msg, err := b.Read(nil); err != nil || msg[0] != byte(i) {
					t.Fatalf("message %d: %v, %v", i, msg[:min(1, len(msg))], err)
				}
			}
			if took := time.Since(start); took != want {
				t.Errorf("%d messages took %v, want %v", n, took, want)
			}
		}
		var writing sync.WaitGroup
		writing.Go(func() { write(100, 1) })
		read(100, time.Second)
		writing.Go(func() { write(8, 64<<10) }) // 4 of them are under way at once
		read(8, 2*time.Second)
		writing.Wait()
	})
}

// The same seed does the same damage, and only to as many messages as it should.
func TestCorrupt(t *testing.T) {
	damaged := func(seed uint64) (msgs [][]byte) {
		synctest.Test(t, func(t *testing.T) {
			a, b := faulty(t, seed)
			b.Corrupt(5)
			for range 6 {
				if err := a.Write([]byte("a message of some length")); err != nil {
					t.Fatal(err)
				}
				msg, err := b.Read(nil)
				if err != nil {
					t.Fatal(err)
				}
				msgs = append(msgs, msg)
			}
		})
		return msgs
	}
	first, again := damaged(7), damaged(7)
	for i := range first {
		if !bytes.Equal(first[i], again[i]) {
			t.Errorf("message %d: %q, then %q", i, first[i], again[i])
		}
		if whole := string(first[i]) == "a message of some length"; whole != (i == 5) {
			t.Errorf("message %d: %q", i, first[i])
		}
	}
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := transporttest.NewFaults(1)
		listener := memory.Listen()
		accepted := make(chan transport.Conn, 1)
		go func() {
			conn, _ := faults.Listener(listener).Accept(transport.AcceptOptions{})
			accepted <- conn
		}()
		d := faults.Dialer(listener)
		faults.Refuse(transporttest.Refused, transporttest.Unavailable(3*time.Second), transporttest.Hanging)

		if _, err := d.Dial(t.Context(), transport.DialOptions{}); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("first Dial: %v", err)
		}
		_, err := d.Dial(t.Context(), transport.DialOptions{})
		var refused *transport.RefusedError
		if !errors.As(err, &refused) || refused.StatusCode != 503 || refused.RetryAfter != 3*time.Second {
			t.Errorf("second Dial: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := d.Dial(ctx, transport.DialOptions{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("third Dial: %v", err)
		}
		conn, err := d.Dial(t.Context(), transport.DialOptions{})
		if err != nil {
			t.Fatalf("fourth Dial: %v", err)
		}
		peer := <-accepted
		if n := len(faults.Conns()); n != 2 {
			t.Errorf("%d ends, want 2", n)
		}
		conn.Close(transport.StatusNormalClosure, "")
		if _, err := peer.Read(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read after a close: %v", err)
		}
		faults.Close()
		if n := len(faults.Conns()); n != 0 {
			t.Errorf("%d ends are left", n)
		}
	})
}

// partly is a connection whose Write fails after some messages.
type partly struct {
	transport.Conn
	sent int
}

func (p partly) Write(...[]byte) error {
	return &transport.PartialError{Sent: p.sent, Err: errors.New("broken")}
}

// A failed Write tells how many of its own messages were sent, not how many the wrapper
// wrote, and later ones fail without telling.
func TestFaultyPartialWrite(t *testing.T) {
	for sent, want := range []int{0, 0, 1, 1, 2} {
		synctest.Test(t, func(t *testing.T) {
			faults := transporttest.NewFaults(1)
			defer faults.Close()
			x, _ := memory.Pipe()
			c := faults.Wrap(partly{x, sent}, transport.Limits{})
			var partial *transport.PartialError
			if err := c.Write(nil, nil, nil); !errors.As(err, &partial) || partial.Sent != want {
				t.Errorf("%d written: got %#v, want %d sent", sent, err, want)
			}
			if err := c.Write(nil); err == nil || errors.As(err, &partial) {
				t.Errorf("a later Write: got %#v", err)
			}
		})
	}
}

// texting is a connection that accepts text if it is told to.
type texting struct {
	transport.Conn
	accepted *bool
}

func (c texting) AcceptText(accept bool) { *c.accepted = accept }

// A FaultConn has the optional interfaces of what it wraps, and some that are its own.
func TestFaultConnKeepsInterfaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dialled, accepted := faultyPair(t, transport.DialOptions{Protocols: []string{"v1"}}, transport.AcceptOptions{Protocols: []string{"v1"}})
		defer dialled.Abort()
		defer accepted.Abort()
		if _, ok := transport.As[transport.TextAccepter](dialled); ok {
			t.Error("a TextAccepter over memory")
		}
		n, ok := transport.As[transport.Negotiator](accepted)
		if !ok {
			t.Fatal("no Negotiator")
		}
		if named, err := n.PeerProtocols(); len(named) != 1 || named[0] != "v1" || err != nil {
			t.Errorf("PeerProtocols %q, %v", named, err)
		}
		for name, found := range map[string]bool{
			"Peeker":         is[transport.Peeker](dialled),
			"Monitor":        is[transport.Monitor](dialled),
			"SilenceAllower": is[transport.SilenceAllower](dialled),
		} {
			if !found {
				t.Errorf("no %s of its own", name)
			}
		}

		faults := transporttest.NewFaults(1)
		defer faults.Close()
		x, _ := memory.Pipe()
		text := false
		a, ok := transport.As[transport.TextAccepter](faults.Wrap(texting{x, &text}, transport.Limits{}))
		if !ok {
			t.Fatal("no TextAccepter")
		}
		if a.AcceptText(true); !text {
			t.Error("AcceptText did not reach the connection")
		}
	})
}

// is reports whether c itself is a T.
func is[T any](c transport.Conn) bool { _, ok := c.(T); return ok }

// A connection is cut at a byte: what came before it arrives.
func TestCutAfter(t *testing.T) {
	for _, c := range []struct {
		bytes, whole int
	}{{0, 0}, {1, 0}, {4, 0}, {5, 1}, {8, 1}, {9, 2}, {12, 2}, {13, 3}} {
		for _, batch := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bytes, batch=%t", c.bytes, batch), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a, b := faulty(t, 1)
					msgs := [][]byte{[]byte("one."), []byte("two."), []byte("six."), []byte("ten.")}
					a.CutAfter(c.bytes)
					var sent int
					var err error
					if batch {
						err = a.Write(msgs...)
						var partial *transport.PartialError
						if errors.As(err, &partial) {
							sent = partial.Sent
						}
					} else {
						for sent = 0; err == nil; sent++ {
							err = a.Write(msgs[sent])
						}
						sent--
					}
					if sent != c.whole || !errors.Is(err, syscall.ECONNRESET) {
						t.Errorf("%d messages were sent, want %d: %v", sent, c.whole, err)
					}
					for i := range c.whole {
						if got, err := b.Read(nil); err != nil || !bytes.Equal(got, msgs[i]) {
							t.Errorf("message %d is %q, %v", i, got, err)
						}
					}
					var closed *transport.CloseError
					if got, err := b.Read(nil); !errors.Is(err, syscall.ECONNRESET) || errors.As(err, &closed) {
						t.Errorf("after the cut: %q, %v", got, err)
					}
					if _, err := a.Read(nil); !errors.Is(err, syscall.ECONNRESET) {
						t.Errorf("the end that was cut reads %v", err)
					}
					if err := a.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
						t.Errorf("the end that was cut writes: %v", err)
					}
				})
			})
		}
	}
}
