package framed

import (
	"testing"

	"github.com/webwire-go/webwire/transport"
)

func TestCloseRoundTrip(t *testing.T) {
	for _, c := range []transport.CloseError{
		{Status: transport.StatusNoStatusReceived},
		{Status: transport.StatusNormalClosure},
		{Status: 4999, Reason: "größer"},
	} {
		status, reason, ok := parseClose(appendClose(nil, c.Status, c.Reason))
		if !ok || status != c.Status || reason != c.Reason {
			t.Errorf("%+v came back as %d %q, %t", c, status, reason, ok)
		}
	}
}
