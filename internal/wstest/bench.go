package wstest

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/wsnet"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
)

// Load is how many connections there are, and how many requests are in flight on
// each.
type Load struct {
	Name         string
	Conns, Depth int
}

// Loads are those to compare transports at.
var Loads = []Load{{"1x1", 1, 1}, {"1x64", 1, 64}, {"64x1", 64, 1}}

// payload is that of every message.
var payload = make([]byte, 32)

// Benchmark measures requests through client and server over the loopback
// interface, beside plain TCP with a length before each message:
//
//   - pipe is the limit: one goroutine that sends again what came back, all that
//     is ready in one system call;
//   - tcp has a goroutine for each request in flight as webwire has, who sends
//     what others are about to add too, and waits for its answer.
//
// Only the ratios within one run mean anything.
func Benchmark(b *testing.B, lib Library) {
	for _, load := range Loads {
		b.Run(load.Name+"/pipe", func(b *testing.B) {
			echoing(b, load, func(m *meter, conn net.Conn) { m.Go(func() { m.pipeline(conn, load.Depth) }) })
		})
		b.Run(load.Name+"/tcp", func(b *testing.B) {
			echoing(b, load, func(m *meter, conn net.Conn) {
				c := newTCP(conn, load.Depth)
				for range load.Depth {
					m.Go(func() { m.repeat(c.request) })
				}
			})
		})
		b.Run(load.Name+"/webwire", func(b *testing.B) { lib.benchmark(b, load) })
	}
}

func (lib Library) benchmark(b *testing.B, load Load) {
	srv := server.New(server.Options{
		Upgrader: lib.Upgrader(Upgrader{}),
		Hooks: server.Hooks{OnRequest: func(_ context.Context, r *server.Request) (protocol.Payload, error) {
			return r.Payload, nil
		}},
	})
	host := httptest.NewServer(srv)
	defer host.Close()
	defer srv.Close()
	Measure(b, load, func(b *testing.B) func() {
		c := client.New(lib.Dialer(wsnet.Endpoint{URL: host.URL}), client.Options{})
		b.Cleanup(func() { c.Close() })
		if err := c.Connect(b.Context()); err != nil {
			b.Fatal(err)
		}
		return func() {
			if _, err := c.Request(context.Background(), "echo", protocol.Payload{Data: payload}); err != nil {
				b.Error(err)
			}
		}
	})
}

// Measure has the connections that connect makes do b.N requests in all, load.Depth
// at a time on each.
func Measure(b *testing.B, load Load, connect func(b *testing.B) (request func())) {
	requests := make([]func(), load.Conns)
	for i := range requests {
		requests[i] = connect(b)
		requests[i]()
	}
	m := meter{b: b}
	m.start()
	for _, request := range requests {
		for range load.Depth {
			m.Go(func() { m.repeat(request) })
		}
	}
	m.stop()
}

// meter counts requests, and times every 16th.
type meter struct {
	b    *testing.B
	left atomic.Int64
	sync.WaitGroup

	mu    sync.Mutex
	times []time.Duration
	cpu   time.Duration
}

func (m *meter) start() {
	m.left.Store(int64(m.b.N))
	m.b.ReportAllocs()
	m.cpu = cpuTime()
	m.b.ResetTimer()
}

// more takes one of the requests that are left.
func (m *meter) more() bool { return m.left.Add(-1) >= 0 }

func (m *meter) repeat(request func()) {
	var times []time.Duration
	for n := 0; m.more(); n++ {
		if n%16 != 0 {
			request()
			continue
		}
		start := time.Now()
		request()
		times = append(times, time.Since(start))
	}
	m.record(times)
}

func (m *meter) record(times []time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.times = append(m.times, times...)
}

func (m *meter) stop() {
	m.Wait()
	m.b.StopTimer()
	m.b.ReportMetric(float64(cpuTime()-m.cpu)/float64(m.b.N), "cpu-ns/op")
	m.b.ReportMetric(float64(m.b.N)/m.b.Elapsed().Seconds(), "req/s")
	if len(m.times) > 0 {
		slices.Sort(m.times)
		m.b.ReportMetric(float64(m.times[len(m.times)/2].Nanoseconds())/1e3, "p50-µs")
	}
}

// echoing answers what comes on the connections of a load.
func echoing(b *testing.B, load Load, use func(m *meter, conn net.Conn)) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go echoTCP(conn)
		}
	}()
	conns := make([]net.Conn, load.Conns)
	for i := range conns {
		if conns[i], err = net.Dial("tcp", l.Addr().String()); err != nil {
			b.Fatal(err)
		}
		defer conns[i].Close()
	}
	m := meter{b: b}
	m.start()
	for _, conn := range conns {
		use(&m, conn)
	}
	m.stop()
}

func echoTCP(conn net.Conn) {
	defer conn.Close()
	r, w := bufio.NewReaderSize(conn, 64<<10), bufio.NewWriterSize(conn, 64<<10)
	buf := make([]byte, 4+len(payload))
	for {
		if _, err := io.ReadFull(r, buf); err != nil {
			return
		}
		w.Write(buf)
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
	}
}

// pipeline keeps depth messages on the way, and flushes when nothing is left to
// read.
func (m *meter) pipeline(conn net.Conn, depth int) {
	r, w := bufio.NewReaderSize(conn, 64<<10), bufio.NewWriterSize(conn, 64<<10)
	msg, buf := make([]byte, 4+len(payload)), make([]byte, 4+len(payload))
	binary.BigEndian.PutUint32(msg, uint32(len(payload)))
	sent := make([]time.Time, depth) // every 16th message that is on the way
	var times []time.Duration
	first, next := 0, 0 // messages answered and sent
	for {
		for next-first < depth && m.more() {
			if next%16 == 0 {
				sent[next%depth] = time.Now()
			}
			w.Write(msg)
			next++
		}
		if first == next {
			break
		}
		if r.Buffered() == 0 && w.Flush() != nil {
			break
		}
		if _, err := io.ReadFull(r, buf); err != nil {
			m.b.Error(err)
			break
		}
		if first%16 == 0 {
			times = append(times, time.Since(sent[first%depth]))
		}
		first++
	}
	m.record(times)
}

// tcp is a client of the echo that many goroutines use. Answers come in the order
// of the requests.
type tcp struct {
	mu       sync.Mutex
	w        *bufio.Writer
	waiting  chan chan struct{}
	flushing bool
	active   atomic.Int32
	slots    sync.Pool
}

func newTCP(conn net.Conn, depth int) *tcp {
	c := &tcp{w: bufio.NewWriterSize(conn, 64<<10), waiting: make(chan chan struct{}, depth)}
	c.slots.New = func() any { return make(chan struct{}, 1) }
	go func() {
		r := bufio.NewReaderSize(conn, 64<<10)
		buf := make([]byte, 4+len(payload))
		for {
			if _, err := io.ReadFull(r, buf); err != nil {
				return
			}
			(<-c.waiting) <- struct{}{}
		}
	}()
	return c
}

func (c *tcp) request() {
	answer := c.slots.Get().(chan struct{})
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(payload)))
	crowded := c.active.Add(1) > 1
	c.mu.Lock()
	c.w.Write(head[:])
	c.w.Write(payload)
	c.waiting <- answer
	flush := !c.flushing
	c.flushing = true
	c.mu.Unlock()
	if flush {
		if crowded {
			runtime.Gosched()
		}
		c.mu.Lock()
		c.w.Flush()
		c.flushing = false
		c.mu.Unlock()
	}
	<-answer
	c.active.Add(-1)
	c.slots.Put(answer)
}

// cpuTime returns what the process has used so far. It does not depend on what
// else the machine does, as times do.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
