package soak_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/check/e2e/load"
	"github.com/webwire-go/webwire/protocol"
)

func TestMain(m *testing.M) {
	load.RaiseFiles()
	os.Exit(m.Run())
}

// The limits of time of the short tests are for a machine that is busy with something
// else; those of the full ones are what users may expect.
var (
	atOnce   = load.Either(5*time.Second, 30*time.Second)
	soon     = load.Either(10*time.Second, time.Minute)
	attempts = load.Either[uint64](7, 60) // within that time
)

// closeAll closes many clients at once.
func closeAll(clients []*client.Client) {
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() { _ = c.Close() })
	}
	all.Wait()
}

// number is a payload that tells one request from all others.
func number(n uint64) protocol.Payload {
	return protocol.Bytes(binary.LittleEndian.AppendUint64(nil, n))
}

func parseNumber(p protocol.Payload) (uint64, bool) {
	if len(p.Data) != 8 {
		return 0, false
	}
	return binary.LittleEndian.Uint64(p.Data), true
}

// report prints the line of a test.
func report(t *testing.T, format string, args ...any) {
	fmt.Printf("%s: %s\n", t.Name(), fmt.Sprintf(format, args...))
}
