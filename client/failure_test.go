package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// failureCase is a line of testdata/failures.json.
type failureCase struct {
	Name, Class, Kind string
	HTTP, Close       int
	Go, JS            *bool
}

func failures(t *testing.T) []failureCase {
	t.Helper()
	var all []failureCase
	readJSON(t, "failures.json", &all)
	return all
}

// failure returns the error of an attempt that fails as failures.json names it.
func failure(t *testing.T, name string) error {
	t.Helper()
	for _, f := range failures(t) {
		if f.Name == name {
			return f.err()
		}
	}
	t.Fatalf("no failure %q", name)
	return nil
}

func (f failureCase) err() error {
	if f.HTTP != 0 {
		return &transport.RefusedError{StatusCode: f.HTTP}
	}
	if f.Close != 0 {
		return &transport.CloseError{Status: transport.Status(f.Close)}
	}
	switch f.Kind {
	case "network":
		return fmt.Errorf("dial: %w", syscall.ECONNREFUSED)
	case "timeout":
		return fmt.Errorf("dial: %w", os.ErrDeadlineExceeded)
	case "dns":
		return &net.DNSError{Name: "nowhere.example", Err: "no such host", IsNotFound: true}
	case "config":
		return fmt.Errorf("dial: %w: no host", transport.ErrConfig)
	case "version":
		return &client.VersionError{Server: []protocol.Version{protocol.V1_5}, Client: []protocol.Version{protocol.V2_0}}
	case "certificate":
		return &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
	case "plain":
		return tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}
	case "client certificate":
		return &net.OpError{Op: "remote error", Err: tlsAlert(116)}
	}
	panic("no failure of kind " + f.Kind)
}

// tlsAlert is like the type of crypto/tls, which is not exported.
type tlsAlert uint8

func (a tlsAlert) Error() string { return fmt.Sprintf("tls: alert %d", uint8(a)) }

// Failures are final, final if repeated, or passing as the table says, which is that
// of the JavaScript client too.
func TestFailureClasses(t *testing.T) {
	for _, f := range failures(t) {
		if f.Go != nil && !*f.Go {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dials, gaveUp := 0, 0
				c := dial(t, dialerFunc(func(context.Context, transport.DialOptions) (transport.Conn, error) {
					dials++
					return nil, f.err()
				}), client.Options{Logger: discard, Timeout: time.Hour, Hooks: client.Hooks{
					OnConnectFailed: func(context.Context, error) { gaveUp++ },
				}})
				_, err := c.Request(t.Context(), "echo", text("x"))
				synctest.Wait()
				want := map[string]int{"final": 1, "repeated": 2}[f.Class]
				switch {
				case want == 0 && (dials < 100 || gaveUp > 0 || !errors.Is(err, context.DeadlineExceeded)):
					t.Errorf("%d attempts, gave up %d times: %v", dials, gaveUp, err)
				case want > 0 && (dials != want || gaveUp != 1 || errors.Is(err, context.DeadlineExceeded)):
					t.Errorf("%d attempts, want %d; gave up %d times: %v", dials, want, gaveUp, err)
				}
			})
		})
	}
}
