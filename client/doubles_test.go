package client_test

import (
	"context"
	"sync"

	"github.com/webwire-go/webwire/transport"
)

// heldDialer makes attempts that end when and as a test decides.
type heldDialer struct {
	attempts chan chan answer

	mu      sync.Mutex
	waiting int
}

type answer struct {
	conn transport.Conn
	err  error
}

func (d *heldDialer) Dial(ctx context.Context, _ transport.DialOptions) (transport.Conn, error) {
	decided := make(chan answer)
	d.count(1)
	defer d.count(-1)
	select {
	case d.attempts <- decided:
		a := <-decided
		return a.conn, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (d *heldDialer) count(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting += n
}

func (d *heldDialer) dialling() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.waiting > 0
}

// decide ends the attempt that waits, and reports whether there is one.
func (d *heldDialer) decide(a answer) bool {
	select {
	case decided := <-d.attempts:
		decided <- a
		return true
	default:
		return false
	}
}

// keptKey is a KeyStore in memory.
type keptKey struct {
	mu  sync.Mutex
	key string
}

func (k *keptKey) LoadKey() (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.key, nil
}

func (k *keptKey) SaveKey(key string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.key = key
	return nil
}
