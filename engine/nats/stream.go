package natsengine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/webwire-go/webwire/engine"
)

// stream is what the node knows of one stream.
type stream struct {
	name string
	want jetstream.StreamConfig

	mu      sync.Mutex
	epoch   uint64 // the time of its creation
	leader  string
	last    uint64    // a sequence that it has reached
	newest  uint64    // the newest sequence that was delivered
	behind  time.Time // since when an older state is answered than is known; zero: it is not
	suspect func()    // asks for a check
	failing bool
}

// streamState is a stream at one moment.
type streamState struct {
	epoch       uint64
	first, last uint64
	keep        int64 // messages of each subject
	leader      string
}

// marker is the subject that is always there.
func (s *stream) marker() string { return strings.TrimSuffix(s.want.Subjects[0], "*") + markerName }

// known returns the epoch, and a sequence that the stream has reached.
func (s *stream) known() (epoch, last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch, max(s.last, s.newest)
}

// staleFor is how long answers of a state before the known one are taken for those of
// a server that was cut off from the others, and does not know yet that it leads no
// longer. After that the stream has lost something.
const staleFor = 15 * time.Second

// isStale reports whether st, the answer to a question that was asked when the stream
// had reached last, is one of a leader of the past.
func (s *stream) isStale(st streamState, epoch, last uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case st.epoch != epoch || st.last >= last:
		s.behind = time.Time{}
		return false
	case s.behind.IsZero():
		s.behind = time.Now()
		return true
	case time.Since(s.behind) < staleFor:
		return true
	}
	s.last, s.newest = 0, 0
	s.behind = time.Time{}
	return false
}

// delivered notes a sequence that was delivered, and returns its epoch. If sequences go
// back the stream may be another one, which is looked up; what has the wrong epoch
// until then is at or before the position of its subscribers, or has a gap before it.
func (s *stream) delivered(seq uint64, back bool) (epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if back {
		s.newest = 0
		s.suspect()
	}
	s.newest = max(s.newest, seq)
	return s.epoch
}

// set takes over what the leader says, and returns what that means for deliveries: nil
// or why some may be missing.
func (s *stream) set(st streamState) (missing error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.epoch != 0 && s.epoch != st.epoch:
		missing = fmt.Errorf("natsengine: stream %s is another one", s.name)
	case s.leader != "" && st.leader != "" && s.leader != st.leader:
		missing = fmt.Errorf("natsengine: stream %s has another leader", s.name)
	case s.failing:
		missing = fmt.Errorf("natsengine: stream %s was away", s.name)
	}
	if s.epoch != st.epoch {
		s.newest, s.last = 0, 0
	}
	s.failing = false
	s.epoch = st.epoch
	if st.leader != "" { // else it is not known, or there is none
		s.leader = st.leader
	}
	s.last = max(s.last, st.last)
	return missing
}

func (s *stream) failed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = true
}

func (n *node) streamName(suffix string) string { return "WW_" + n.opts.App + "_" + suffix }

func (n *node) newStream(suffix string, c jetstream.StreamConfig) *stream {
	c.Name = n.streamName(suffix)
	c.Discard = jetstream.DiscardOld
	c.Replicas = n.opts.Replicas
	return &stream{name: c.Name, want: c, suspect: func() { signal(n.recheck) }}
}

// openStreams makes the streams that do not exist and looks at those that do.
func (n *node) openStreams(ctx context.Context) error {
	n.stored = n.newStream("sessions", jetstream.StreamConfig{
		Description:       "sessions of the WebWire application " + n.opts.App,
		Subjects:          []string{string(n.subjects) + "kv.s.*"},
		MaxMsgsPerSubject: 1,
		AllowMsgTTL:       true,
		Storage:           jetstream.FileStorage,
	})
	n.nodes = n.newStream("nodes", jetstream.StreamConfig{
		Description:       "nodes and presence of the WebWire application " + n.opts.App,
		Subjects:          []string{string(n.subjects) + "kv.n.*", string(n.subjects) + "kv.p.*.*"},
		MaxMsgsPerSubject: 1,
		AllowMsgTTL:       true,
		Storage:           jetstream.MemoryStorage,
	})
	n.logs = make(map[string]*stream)
	for _, c := range n.opts.Classes {
		source := string(n.subjects) + "log." + c.Name + ".*"
		n.logs[c.Name] = n.newStream("log_"+c.Name, jetstream.StreamConfig{
			Description: "publications of the WebWire application " + n.opts.App,
			Subjects:    []string{source},
			// One more than readers get: that a position is still there shows that
			// nothing behind it is gone.
			MaxMsgsPerSubject: int64(c.History) + 1,
			MaxAge:            max(c.MaxAge, 0),
			MaxBytes:          max(c.MaxBytes, -1),
			AllowDirect:       true,
			Duplicates:        duplicates(c.MaxAge),
			Storage:           jetstream.FileStorage,
			RePublish:         &jetstream.RePublish{Source: source, Destination: string(n.subjects) + "t.{{wildcard(1)}}"},
		})
	}
	all := n.streams()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, s := range all {
		wg.Go(func() { errs[i] = n.ensure(ctx, s) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// duplicates returns for how long ids are known: JetStream wants it not to be longer
// than messages are kept.
func duplicates(maxAge time.Duration) time.Duration {
	const window = 2 * time.Minute
	if maxAge > 0 {
		return min(window, maxAge)
	}
	return window
}

func (n *node) streams() []*stream {
	all := []*stream{n.stored, n.nodes}
	for _, s := range n.logs {
		all = append(all, s)
	}
	return all
}

// streamNamed returns a log by its stream's name, or nil.
func (n *node) streamNamed(name string) *stream {
	class, ok := strings.CutPrefix(name, n.streamName("log_"))
	if !ok {
		return nil
	}
	return n.logs[class]
}

// ensure makes the stream if it does not exist, and takes over how it is. Servers that
// have just started get some time to find one another: until then they answer with an
// error, or not at all.
func (n *node) ensure(ctx context.Context, s *stream) error {
	ctx, cancel := context.WithTimeout(ctx, 4*n.opts.Timeout)
	defer cancel()
	for {
		try, cancel := context.WithTimeout(ctx, n.opts.Timeout/2)
		err := n.tryEnsure(try, s)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || !isStarting(err) {
			return fmt.Errorf("stream %s: %w", s.name, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// isStarting reports whether err is what a cluster answers that has no leader, or not
// enough servers, until more of them have started, or one that is busy.
func isStarting(err error) bool {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrNoResponders)
	}
	return slices.Contains([]jetstream.ErrorCode{codeNoPeers, codeNotAvailable, codeNotLeader, codeNotCreated}, api.ErrorCode)
}

func (n *node) tryEnsure(ctx context.Context, s *stream) error {
	handle, err := n.js.Stream(ctx, s.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		handle, err = n.create(ctx, s.want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			handle, err = n.js.Stream(ctx, s.name) // another node was faster
		}
	}
	if err != nil {
		return err
	}
	info := handle.CachedInfo()
	if err := n.compare(s.want, info.Config); err != nil {
		return err
	}
	s.set(stateOf(info))
	return n.reach(ctx, s)
}

// reach waits until what is published here arrives at the stream: a new one has a
// leader before all servers know that it listens. The message that it tries with is
// refused, because it is for another stream.
func (n *node) reach(ctx context.Context, s *stream) error {
	ctx, cancel := context.WithTimeout(ctx, n.opts.Timeout)
	defer cancel()
	m := &nats.Msg{
		Subject: strings.ReplaceAll(s.want.Subjects[0], "*", "probe"),
		Header:  nats.Header{"Nats-Expected-Stream": {"none"}},
	}
	for {
		_, err := n.nc.RequestMsgWithContext(ctx, m)
		if !errors.Is(err, nats.ErrNoResponders) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (n *node) create(ctx context.Context, c jetstream.StreamConfig) (jetstream.Stream, error) {
	if c.Replicas > 0 {
		return n.js.CreateStream(ctx, c)
	}
	c.Replicas = 3
	handle, err := n.js.CreateStream(ctx, c)
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == codeNotClustered {
		c.Replicas = 1
		return n.js.CreateStream(ctx, c)
	}
	return handle, err
}

// compare returns an error if a stream does something else than the engine needs, and
// warns if its limits are others than this node's options say.
func (n *node) compare(want, got jetstream.StreamConfig) error {
	for _, c := range []struct {
		what      string
		want, got any
	}{
		{"subjects", fmt.Sprint(want.Subjects), fmt.Sprint(got.Subjects)},
		{"retention", want.Retention, got.Retention},
		{"discard", want.Discard, got.Discard},
		{"storage", want.Storage, got.Storage},
		{"republish", republish(want), republish(got)},
		{"allow_direct", true, got.AllowDirect || !want.AllowDirect},
		{"allow_msg_ttl", true, got.AllowMsgTTL || !want.AllowMsgTTL},
		{"sealed", false, got.Sealed},
		{"mirror", false, got.Mirror != nil},
		{"one message per subject", want.MaxMsgsPerSubject == 1, got.MaxMsgsPerSubject == 1},
		{"max_msgs", true, got.MaxMsgs <= 0},
		{"no_ack", false, got.NoAck},
	} {
		if c.want != c.got {
			return fmt.Errorf("its configuration is not that of this engine: %s is %v, want %v", c.what, c.got, c.want)
		}
	}
	for _, c := range []struct {
		what      string
		want, got any
	}{
		{"max_msgs_per_subject", want.MaxMsgsPerSubject, got.MaxMsgsPerSubject},
		{"max_age", want.MaxAge, got.MaxAge},
		{"max_bytes", unlimited(want.MaxBytes), unlimited(got.MaxBytes)},
		{"num_replicas", want.Replicas, pick(want.Replicas == 0, 0, got.Replicas)},
	} {
		if c.want != c.got {
			n.opts.Logger.Warn("natsengine: a stream has other limits than the options of this node; it is used as it is",
				"stream", want.Name, "limit", c.what, "stream's", c.got, "options'", c.want)
		}
	}
	return nil
}

func republish(c jetstream.StreamConfig) string {
	if c.RePublish == nil {
		return "none"
	}
	return fmt.Sprint(*c.RePublish)
}

func unlimited(limit int64) int64 { return pick(limit <= 0, -1, limit) }

func pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

func stateOf(info *jetstream.StreamInfo) streamState {
	st := streamState{
		epoch: uint64(info.Created.UnixMicro()), // below 2^53
		first: info.State.FirstSeq, last: info.State.LastSeq,
		keep: info.Config.MaxMsgsPerSubject,
	}
	if st.keep <= 0 { // an operator has taken the limit away
		st.keep = math.MaxInt64
	}
	if info.Cluster != nil {
		st.leader = info.Cluster.Leader
	}
	return st
}

// state asks the leader of a stream how it is, takes that over, and reports what may
// be missing.
func (n *node) state(ctx, attached context.Context, what string, s *stream) (streamState, error) {
	var answer struct {
		jetstream.StreamInfo
		Error *apiError `json:"error"`
	}
	epoch, last := s.known()
	err := n.api(ctx, attached, what, "STREAM.INFO."+s.name, struct{}{}, &answer)
	if err == nil {
		err = apiFailure(what, answer.Error)
	}
	if err != nil {
		return streamState{}, err
	}
	st := stateOf(&answer.StreamInfo)
	if s.isStale(st, epoch, last) {
		return streamState{}, fmt.Errorf("%w: natsengine: %s: a server answers that leads stream %s no longer", engine.ErrAway, what, s.name)
	}
	if missing := s.set(st); missing != nil {
		n.opts.Logger.Warn("natsengine: deliveries may be missing", "cause", missing)
		n.report(missing)
	}
	return st, nil
}

// checkStreams notices streams that were recreated, have another leader, or are gone,
// which are made again.
func (n *node) checkStreams() {
	attached, err := n.ready(n.ctx)
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	for _, s := range n.streams() {
		wg.Go(func() {
			_, err := n.state(n.ctx, attached, "check", s)
			if codeOf(err) == codeNoStream {
				ctx, cancel := n.call(n.ctx, attached)
				defer cancel()
				if _, err = n.create(ctx, s.want); err == nil {
					n.opts.Logger.Warn("natsengine: a stream was gone and has been made again", "stream", s.name)
					_, err = n.state(n.ctx, attached, "check", s)
				}
			}
			if err != nil {
				s.failed()
			}
		})
	}
	wg.Wait()
}
