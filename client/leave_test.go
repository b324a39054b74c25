package client_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// A client that is asked to move sends what is queued first, also if neither end keeps what it
// sends: then nothing is acknowledged.
func TestMoveSendsWhatIsQueued(t *testing.T) {
	for name, test := range map[string]struct {
		opts   client.Options
		window time.Duration
	}{
		"the server resumes nothing": {client.Options{}, 0},
		"the client resumes nothing": {client.Options{DisableAutoconnect: true}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, p := welcomed(t, test.opts, test.window)
				const signals = 500
				for range signals {
					if err := c.Signal(t.Context(), "s", protocol.Bytes(make([]byte, 1000))); err != nil {
						t.Fatal(err)
					}
				}
				p.send(protocol.DrainBody{Reason: protocol.DrainShutdown, Grace: time.Hour}.Message())
				synctest.Wait()
				got := 0
				for {
					b, err := p.conn.Read(nil)
					var closed *transport.CloseError
					if errors.As(err, &closed) && closed.Status == transport.StatusServiceRestart {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					if m, err := p.version.Parse(b); err == nil && m.Kind == protocol.Signal {
						got++
					}
				}
				if got != signals {
					t.Errorf("%d signals arrived, want %d", got, signals)
				}
			})
		})
	}
}
