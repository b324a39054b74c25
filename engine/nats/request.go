package natsengine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/webwire-go/webwire/engine"
)

// Error codes of JetStream.
const (
	codeNoPeers          = 10005 // not enough servers for the replicas of a stream
	codeNotAvailable     = 10008 // no leader at the moment
	codeNotLeader        = 10009
	codeNoMessage        = 10037
	codeNotCreated       = 10049 // files of a stream could not be made: those of one with its name may be on their way out
	codeTooBig           = 10054
	codeNoStream         = 10059
	codeNotClustered     = 10074
	codeWrongLast        = 10071 // another sequence was expected
	codeWrongLastPending = 10164 // another write is in flight: what becomes of it is not known yet
)

// apiError is an error that JetStream answers.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return e.Description + " (" + strconv.Itoa(e.ErrCode) + ")" }

func codeOf(err error) int {
	var api *apiError
	if errors.As(err, &api) {
		return api.ErrCode
	}
	return 0
}

// apiFailure returns the error of a call that JetStream answered with an error.
func apiFailure(what string, err *apiError) error {
	switch {
	case err == nil:
		return nil
	case err.ErrCode == codeTooBig:
		return fmt.Errorf("%w: natsengine: %s: %w", engine.ErrTooBig, what, err)
	case err.ErrCode == codeNotAvailable || err.ErrCode == codeNoStream || err.Code == 503:
		return fmt.Errorf("%w: natsengine: %s: %w", engine.ErrAway, what, err)
	}
	return fmt.Errorf("natsengine: %s: %w", what, err)
}

// ack is what JetStream answers to a message that is to be stored.
type ack struct {
	Stream    string    `json:"stream"`
	Seq       uint64    `json:"seq"`
	Duplicate bool      `json:"duplicate"`
	Error     *apiError `json:"error"`
}

// store publishes a message into a stream and waits until it is stored. It does not
// try again: a second try could come behind messages that were stored later.
func (n *node) store(ctx, attached context.Context, what string, m *nats.Msg) (ack, error) {
	call, cancel := n.call(ctx, attached)
	defer cancel()
	reply, err := n.nc.RequestMsgWithContext(call, m)
	if err != nil {
		return ack{}, n.failure(ctx, attached, what, err, engine.ErrUnconfirmed)
	}
	var a ack
	if err := json.Unmarshal(reply.Data, &a); err != nil {
		return ack{}, fmt.Errorf("%w: natsengine: %s: %w", engine.ErrUnconfirmed, what, err)
	}
	return a, apiFailure(what, a.Error)
}

// stored is a message in a stream.
type stored struct {
	Subject string    `json:"subject"`
	Seq     uint64    `json:"seq"`
	Header  []byte    `json:"hdrs"`
	Data    []byte    `json:"data"`
	Time    time.Time `json:"time"`
}

// get asks the leader of a stream for one message, which the query describes. It is
// nil if there is none. Any replica answers direct requests, and may not have yet
// what its leader has acknowledged; only the leader answers these.
func (n *node) get(ctx, attached context.Context, what string, s *stream, query any) (*stored, error) {
	var answer struct {
		Message *stored   `json:"message"`
		Error   *apiError `json:"error"`
	}
	if err := n.api(ctx, attached, what, "STREAM.MSG.GET."+s.name, query, &answer); err != nil {
		return nil, err
	}
	if answer.Error != nil && answer.Error.ErrCode == codeNoMessage {
		return nil, nil
	}
	return answer.Message, apiFailure(what, answer.Error)
}

type lastBySubject struct {
	Subject string `json:"last_by_subj"`
}

type nextBySubject struct {
	Seq     uint64 `json:"seq"`
	Subject string `json:"next_by_subj"`
	Batch   int    `json:"batch,omitempty"`
	Bytes   int    `json:"max_bytes,omitempty"`
}

type lastOfSubjects struct {
	Subjects []string `json:"multi_last"`
	Bytes    int      `json:"max_bytes,omitempty"`
}

// api makes a request to JetStream that changes nothing, or nothing that matters.
func (n *node) api(ctx, attached context.Context, what, subject string, question, answer any) error {
	data, err := json.Marshal(question)
	if err != nil {
		return err
	}
	call, cancel := n.call(ctx, attached)
	defer cancel()
	reply, err := n.nc.RequestWithContext(call, "$JS.API."+subject, data)
	if err != nil {
		return n.failure(ctx, attached, what, err, engine.ErrAway)
	}
	if err := json.Unmarshal(reply.Data, answer); err != nil {
		return fmt.Errorf("natsengine: %s: %w", what, err)
	}
	return nil
}

// batch is what one replica answers to a direct request, as it was at one moment.
type batch struct {
	messages []stored
	left     uint64 // how many it has behind these
	upTo     uint64 // the end of the stream; only for lastOfSubjects, if there are messages
}

// direct asks any replica of a stream for messages, at most as many, which the query describes.
func (n *node) direct(ctx, attached context.Context, what string, s *stream, most int, query any) (b batch, err error) {
	call, cancel := n.call(ctx, attached)
	defer cancel()
	inbox := n.nc.NewInbox()
	answers := make(chan *nats.Msg, most+1) // and the end; that of SubscribeSync takes 512 KiB
	sub, err := n.nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return b, n.failure(ctx, attached, what, err, engine.ErrAway)
	}
	defer sub.Unsubscribe()
	data, err := json.Marshal(query)
	if err != nil {
		return b, err
	}
	if err := n.nc.PublishRequest("$JS.API.DIRECT.GET."+s.name, inbox, data); err != nil {
		return b, n.failure(ctx, attached, what, err, engine.ErrAway)
	}
	for {
		var m *nats.Msg
		select {
		case m = <-answers:
		case <-call.Done():
			return b, n.failure(ctx, attached, what, call.Err(), engine.ErrAway)
		}
		switch status := first(m.Header, "Status"); status {
		case "":
			seq, err := number(m.Header, "Nats-Sequence")
			if err != nil {
				return b, fmt.Errorf("natsengine: %s: %w", what, err)
			}
			b.messages = append(b.messages, stored{Subject: first(m.Header, "Nats-Subject"), Seq: seq, Data: m.Data})
		case "204": // the end of the batch
			b.left, err = number(m.Header, "Nats-Num-Pending")
			if _, ok := query.(lastOfSubjects); ok && err == nil {
				b.upTo, err = number(m.Header, "Nats-UpTo-Sequence")
			}
			if err != nil {
				return b, fmt.Errorf("natsengine: %s: %w", what, err)
			}
			return b, nil
		case "404": // nothing there
			return b, nil
		default:
			return b, fmt.Errorf("%w: natsengine: %s: status %s %s", engine.ErrAway, what, status, first(m.Header, "Description"))
		}
	}
}

func number(h nats.Header, key string) (uint64, error) {
	return strconv.ParseUint(first(h, key), 10, 64)
}
