package client_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport/memory"
)

// The timeout of a request that is made again, because the server that got it shuts down,
// does not begin anew.
func TestTimeoutOfRequestMadeAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ln := memory.Listen()
		c := dial(t, ln, client.Options{Timeout: 10 * time.Second})
		done := begin(t.Context(), c, "r", "x")
		p := accept(t, ln, protocol.V2_0, protocol.Conf{})
		m := p.receive()
		time.Sleep(7 * time.Second)
		p.send(p.version.Failure(m.ID, protocol.ErrShutdown))
		synctest.Wait()
		p.conn.Abort() // and nobody accepts the next connection
		out := <-done
		var late *client.TimeoutError
		if !errors.As(out.err, &late) || late.After != 10*time.Second {
			t.Errorf("the outcome is %v", out.err)
		}
		if out.took != 10*time.Second {
			t.Errorf("it took %v", out.took)
		}
	})
}
