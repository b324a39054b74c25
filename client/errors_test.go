package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport/memory"
)

// An error names its package once, also if its cause is of the same package.
func TestErrorsNamePackageOnce(t *testing.T) {
	for _, err := range []error{
		&client.DisconnectedError{Sent: true, Cause: client.ErrClosed},
		&client.DisconnectedError{Cause: client.ErrClosed},
		&client.TimeoutError{Cause: client.ErrDisconnected},
		&client.TimeoutError{},
		&client.VersionError{Cause: client.ErrDisconnected},
		&client.VersionError{},
		&client.DisconnectedError{}, // without a cause it has a text too
	} {
		if text := err.Error(); !strings.HasPrefix(text, "client: ") || strings.Count(text, "client: ") != 1 {
			t.Errorf("%T: %s", err, text)
		}
	}
}

// A call that is canceled before there is a connection says why there was none.
func TestCanceledWhileNotConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := memory.Listen()
		ln.Close()
		c := client.New(ln, client.Options{Logger: discard})
		defer c.Close()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := c.Request(ctx, "r", protocol.Text("x"))
			done <- err
		}()
		synctest.Wait()
		cancel()
		err := <-done
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v is not context.Canceled", err)
		}
		if text := err.Error(); !strings.HasPrefix(text, "client: not connected: context canceled: ") ||
			!strings.Contains(text, "refused") || strings.Count(text, "client: ") != 1 {
			t.Error(text)
		}
	})
}
