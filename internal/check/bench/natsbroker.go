package main

import (
	"errors"
	"sync"

	"github.com/centrifugal/centrifuge"
	"github.com/nats-io/nats.go"
)

// natsBroker is a broker of Centrifuge on core NATS, after its example custom_broker_nats:
// it has no history.
type natsBroker struct {
	nc      *nats.Conn
	handler centrifuge.BrokerEventHandler

	mu   sync.Mutex
	subs map[string]*nats.Subscription
}

func newNATSBroker(url string) (*natsBroker, error) {
	nc, err := nats.Connect(url, nats.ReconnectBufSize(-1))
	return &natsBroker{nc: nc, subs: make(map[string]*nats.Subscription)}, err
}

const natsChannel = "centrifuge."

func (b *natsBroker) RegisterBrokerEventHandler(h centrifuge.BrokerEventHandler) error {
	b.handler = h
	return nil
}

func (b *natsBroker) Subscribe(channels ...string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ch := range channels {
		sub, err := b.nc.Subscribe(natsChannel+ch, func(m *nats.Msg) {
			// Its error is that of a client, whose connection ends.
			_ = b.handler.HandlePublication(ch, &centrifuge.Publication{Data: m.Data}, centrifuge.StreamPosition{}, false, nil)
		})
		if err != nil {
			return err
		}
		b.subs[ch] = sub
	}
	return b.nc.Flush()
}

func (b *natsBroker) Unsubscribe(channels ...string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, ch := range channels {
		if sub := b.subs[ch]; sub != nil {
			errs = append(errs, sub.Unsubscribe())
			delete(b.subs, ch)
		}
	}
	return errors.Join(errs...)
}

func (b *natsBroker) Publish(ch string, data []byte, _ centrifuge.PublishOptions) (centrifuge.PublishResult, error) {
	return centrifuge.PublishResult{}, b.nc.Publish(natsChannel+ch, data)
}

func (b *natsBroker) PublishJoin(string, *centrifuge.ClientInfo) error  { return nil }
func (b *natsBroker) PublishLeave(string, *centrifuge.ClientInfo) error { return nil }

func (b *natsBroker) History(string, centrifuge.HistoryOptions) ([]*centrifuge.Publication, centrifuge.StreamPosition, error) {
	return nil, centrifuge.StreamPosition{}, centrifuge.ErrorNotAvailable
}

func (b *natsBroker) RemoveHistory(string) error { return centrifuge.ErrorNotAvailable }
