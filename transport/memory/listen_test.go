package memory_test

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/transport/memory"

	"github.com/webwire-go/webwire/transport"
)

func TestListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memory.Listen()
		accepted := make(chan error, 1)
		go func() {
			c, err := l.Accept(transport.AcceptOptions{})
			if err == nil {
				err = c.Write([]byte("welcome"))
			}
			accepted <- err
		}()
		c, err := l.Dial(t.Context(), transport.DialOptions{Protocols: []string{"ignored"}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Abort()
		if msg, err := c.Read(nil); string(msg) != "welcome" || err != nil {
			t.Errorf("Read %q, %v", msg, err)
		}
		if err := <-accepted; err != nil {
			t.Error(err)
		}

		// Nobody accepts.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Dial(ctx, transport.DialOptions{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial without Accept: %v", err)
		}

		// Close ends an Accept and a Dial that wait, and all later ones.
		go func() {
			_, err := l.Accept(transport.AcceptOptions{})
			accepted <- err
		}()
		synctest.Wait()
		for range 2 {
			if err := l.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if err := <-accepted; !errors.Is(err, net.ErrClosed) {
			t.Errorf("blocked Accept: %v", err)
		}
		if _, err := l.Accept(transport.AcceptOptions{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
		if _, err := l.Dial(t.Context(), transport.DialOptions{}); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial after Close: %v", err)
		}
	})
}

// A batch larger than what fits between the ends waits for the reader, and is
// cut exactly at the write timeout; what a closed end is sent is lost silently
// as long as it left something to read.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memory.Pipe()
		if err := a.Write([]byte("to be read")); err != nil {
			t.Fatal(err)
		}
		a.Close(1000, "")
		for _, size := range []int{10, 100_000} {
			if err := b.Write(make([]byte, size)); err != nil {
				t.Errorf("Write of %d bytes to a closed end: %v", size, err)
			}
		}
		if msg, err := b.Read(nil); string(msg) != "to be read" || err != nil {
			t.Errorf("Read %q, %v", msg, err)
		}
		if err := b.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after the last message: %v", err)
		}

		a, b = memory.Pipe()
		defer b.Abort()
		start := time.Now()
		err := a.Write(make([]byte, 40_000), make([]byte, 40_000))
		if took := time.Since(start); err == nil || took != 10*time.Second {
			t.Errorf("Write ended after %v with %v", took, err)
		}
	})
}
