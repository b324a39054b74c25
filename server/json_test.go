package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

type sum struct{ A, B int }

func TestTyped(t *testing.T) {
	app := &protocol.Error{Code: "NEGATIVE"}
	add := server.JSON(func(_ context.Context, r *server.Request, in sum) (map[string]int, error) {
		if in.A < 0 {
			return nil, fmt.Errorf("%s: %w", r.Name, app)
		}
		return map[string]int{"sum": in.A + in.B}, nil
	})
	for name, test := range map[string]struct {
		in   protocol.Payload
		out  string
		code string
	}{
		"text":       {in: protocol.Text(`{"a":1,"b":2}`), out: `{"sum":3}`},
		"binary":     {in: protocol.Bytes([]byte(`{"a":1}`)), out: `{"sum":1}`},
		"UTF-16":     {in: protocol.UTF16Text(`{"b":5,"😀":0}`), out: `{"sum":5}`},
		"empty":      {out: `{"sum":0}`},
		"error":      {in: protocol.Text(`{"a":-1}`), code: "NEGATIVE"},
		"no JSON":    {in: protocol.Text(`{"a":`), code: protocol.CodeBadRequest},
		"wrong type": {in: protocol.Text(`{"a":"one"}`), code: protocol.CodeBadRequest},
		"two values": {in: protocol.Text(`{} {}`), code: protocol.CodeBadRequest},
	} {
		p, err := add(context.Background(), &server.Request{Name: "add", Payload: test.in})
		if test.code != "" {
			if !errors.Is(err, &protocol.Error{Code: test.code}) {
				t.Errorf("%s: got %v, want %s", name, err, test.code)
			}
			continue
		}
		if err != nil || p.Text() != test.out || p.Encoding != protocol.UTF8 {
			t.Errorf("%s: got %s %q, %v", name, p.Encoding, p.Text(), err)
		}
	}
}

func TestTypedResultWithoutJSON(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log record
		srv := server.New(server.Options{Logger: log.logger(), Hooks: server.Hooks{
			OnRequest: server.JSON(func(context.Context, *server.Request, any) (func(), error) {
				return func() {}, nil
			}),
		}})
		p := connect(t, srv, protocol.V1_2)
		p.request(1, "r", "{}")
		p.reply(1, protocol.ReplyInternalError)
		if text := log.take(); !strings.Contains(text, "unsupported type") {
			t.Errorf("log: %q", text)
		}
	})
}

type internalBase struct {
	Name string `json:"name"`
}

type internalPayment struct {
	internalBase
	Amount uint8           `json:"amount"`
	Tags   []string        `json:"tags"`
	Due    time.Time       `json:"due"`
	Inner  map[string]bool `json:"inner"`
}

// A client learns where its payload is wrong, and nothing of our types.
func TestTypedTellsNoTypes(t *testing.T) {
	pay := server.JSON(func(context.Context, *server.Request, internalPayment) (any, error) { return nil, nil })
	for in, want := range map[string]string{
		`{"amount":`:               "payload is not valid JSON at byte 10",
		`{"amount":"x"}`:           `field "amount" is a JSON string, want an integer of 8 bits that is not negative (at byte 13)`,
		`{"amount":-1}`:            `field "amount" is a JSON number, want an integer of 8 bits that is not negative (at byte 12)`,
		`{"tags":{}}`:              `field "tags" is a JSON object, want an array (at byte 9)`,
		`{"name":true}`:            `field "name" is a JSON boolean, want a string (at byte 12)`,
		`[]`:                       "the payload is a JSON array, want an object (at byte 1)",
		`{"due":1}`:                "payload is not of the expected JSON form",
		`{"due":"yesterday"}`:      "payload is not of the expected JSON form",
		`{"inner":{"x":"secret"}}`: `field "inner" is a JSON string, want a boolean (at byte 22)`,
	} {
		_, err := pay(context.Background(), &server.Request{Payload: protocol.Text(in)})
		var told *protocol.Error
		if !errors.As(err, &told) || told.Code != protocol.CodeBadRequest || told.Message != want {
			t.Errorf("%s: %v\nwant %s", in, err, want)
		}
	}
}
