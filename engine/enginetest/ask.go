package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webwire-go/webwire/engine"
)

var ofAsk = []promise{
	{"Ask", testAsk},
	{"AskConcurrently", testAskConcurrently},
	{"AskNobody", testAskNobody},
	{"AskContext", testAskContext},
	{"AskClosing", testAskClosing},
}

// askable returns two nodes of which the first answers.
func askable(t *testing.T, h Harness, answer func(context.Context, engine.NodeID, []byte) ([]byte, error)) (answers, asks *node) {
	t.Helper()
	engines := h.Nodes(t, 2)
	answers = h.openNode(t, engines[0], &Inlet{OnAsked: answer})
	asks = h.openNode(t, engines[1], &Inlet{})
	poll(t, patience+h.Slack, "the first answer", func() bool {
		_, err := asks.Bus.Ask(t.Context(), answers.id, []byte("hello"))
		return !errors.Is(err, engine.ErrNoNode)
	})
	return answers, asks
}

func testAsk(t *testing.T, h Harness) {
	var asker engine.NodeID
	answers, asks := askable(t, h, func(_ context.Context, from engine.NodeID, data []byte) ([]byte, error) {
		if string(data) == "fail" {
			return []byte("unused"), errors.New("the text")
		}
		if from != asker && string(data) != "hello" {
			return nil, fmt.Errorf("asked by %v", from)
		}
		return append([]byte("re: "), data...), nil
	})
	asker = asks.id
	for _, q := range []string{"", "x", "\x00\r\n", strings.Repeat("long", 20_000)} {
		got, err := asks.Bus.Ask(t.Context(), answers.id, []byte(q))
		if err != nil || string(got) != "re: "+q {
			t.Errorf("Ask %.20q: %.20q, %v", q, got, err)
		}
	}
	got, err := asks.Bus.Ask(t.Context(), answers.id, []byte("fail"))
	var asked *engine.AskError
	if !errors.As(err, &asked) || asked.Text != "the text" || asked.Node != answers.id || got != nil {
		t.Errorf("Ask of what fails: %q, %#v", got, err)
	}
	asker = answers.id // itself
	if got, err := answers.Bus.Ask(t.Context(), answers.id, []byte("me")); err != nil || string(got) != "re: me" {
		t.Errorf("a node asks itself: %q, %v", got, err)
	}
	asker = asks.id

	// Both keep what they got.
	var kept []byte
	mine := []byte("mine")
	first, err := asks.Bus.Ask(t.Context(), answers.id, mine)
	if err != nil {
		t.Fatal(err)
	}
	kept = bytes.Clone(first)
	copy(mine, "spoilt")
	if _, err := asks.Bus.Ask(t.Context(), answers.id, []byte("another")); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, kept) {
		t.Error("an answer changed later")
	}
}

// A question does not wait for the answers of others.
func testAskConcurrently(t *testing.T, h Harness) {
	const count = 20
	var all sync.WaitGroup
	all.Add(count)
	answers, asks := askable(t, h, func(_ context.Context, _ engine.NodeID, data []byte) ([]byte, error) {
		if string(data) != "hello" {
			all.Done()
			all.Wait()
		}
		return data, nil
	})
	var wg sync.WaitGroup
	for i := range count {
		wg.Go(func() {
			q := fmt.Sprint(i)
			if got, err := asks.Bus.Ask(t.Context(), answers.id, []byte(q)); err != nil || string(got) != q {
				t.Errorf("Ask %s: %q, %v", q, got, err)
			}
		})
	}
	wg.Wait()
}

func testAskNobody(t *testing.T, h Harness) {
	nodes := h.open(t, 2)
	within(t, 2*time.Second+h.Slack, "Ask of a node that never was", func(ctx context.Context) {
		if _, err := nodes[0].Bus.Ask(ctx, engine.NewNodeID(), nil); !errors.Is(err, engine.ErrNoNode) {
			t.Errorf("Ask: %v", err)
		}
	})
	if err := nodes[1].Bus.Close(); err != nil {
		t.Error(err)
	}
	poll(t, 2*time.Second+h.Slack, "ErrNoNode of a node that closed", func() bool {
		_, err := nodes[0].Bus.Ask(t.Context(), nodes[1].id, nil)
		return errors.Is(err, engine.ErrNoNode)
	})
}

func testAskContext(t *testing.T, h Harness) {
	ended := make(chan struct{})
	answers, asks := askable(t, h, func(ctx context.Context, _ engine.NodeID, data []byte) ([]byte, error) {
		if string(data) == "hello" {
			return data, nil
		}
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := asks.Bus.Ask(ctx, answers.id, []byte("wait")); err != context.DeadlineExceeded {
		t.Errorf("Ask: %v", err)
	}
	timer := time.NewTimer(patience + h.Slack)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		t.Error("the context of Asked does not end with that of Ask")
	}
}

// Whoever asks a node that closes learns that, and Close waits for Asked.
func testAskClosing(t *testing.T, h Harness) {
	asked := make(chan struct{})
	var mu sync.Mutex
	returned := false
	answers, asks := askable(t, h, func(ctx context.Context, _ engine.NodeID, data []byte) ([]byte, error) {
		if string(data) == "hello" {
			return data, nil
		}
		close(asked)
		<-ctx.Done()
		mu.Lock()
		defer mu.Unlock()
		returned = true
		return []byte("too late"), nil
	})
	result := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience+h.Slack)
		defer cancel()
		_, err := asks.Bus.Ask(ctx, answers.id, []byte("wait"))
		result <- err
	}()
	<-asked
	if err := answers.Bus.Close(); err != nil {
		t.Error(err)
	}
	mu.Lock()
	if !returned {
		t.Error("Close returned before Asked did")
	}
	mu.Unlock()
	if err := <-result; err != nil && !errors.Is(err, engine.ErrUnconfirmed) {
		t.Errorf("Ask of a node that closes: %v", err)
	}
}
