package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/gobwas/ws"
	"golang.org/x/sync/errgroup"

	"github.com/webwire-go/webwire/protocol"
)

// The first argument of a child process.
const (
	idleServerRole = "idle-server"
	idleClientRole = "idle-client"
)

// idlePayload is the size of the message that is echoed, in bytes.
const idlePayload = 32

// idleServers are those that are measured, and the version that their clients speak;
// zero: none.
var idleServers = map[string]protocol.Version{
	ofDefault:     protocol.V2_0,
	ofModern:      protocol.V3_0,
	"raw/nhooyr":  0,
	"raw/coder":   0,
	"raw/gorilla": 0,
	"raw/gws":     0,
}

// footprint is what a process uses, in bytes.
type footprint struct{ RSS, Heap, Stack, Goroutines int64 }

func footprintNow() (f footprint, err error) {
	runtime.GC()
	debug.FreeOSMemory()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	statm, err := os.Open("/proc/self/statm")
	if err != nil {
		return f, err
	}
	defer statm.Close()
	var size, pages int64
	if _, err := fmt.Fscan(statm, &size, &pages); err != nil {
		return f, err
	}
	return footprint{pages * int64(os.Getpagesize()), int64(mem.HeapInuse), int64(mem.StackInuse), int64(runtime.NumGoroutine())}, nil
}

// idleChild does what a child process is for, and reports whether this is one.
func idleChild() bool {
	if len(os.Args) < 3 {
		return false
	}
	var err error
	switch os.Args[1] {
	case idleServerRole:
		err = idleServer(os.Args[2])
	case idleClientRole:
		err = idleClients(os.Args[2], os.Args[3])
	default:
		return false
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", os.Args[1:], err)
		os.Exit(1)
	}
	return true
}

// raiseFileLimit allows as many open files as the system does.
func raiseFileLimit(need uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	if limit.Max < need {
		return fmt.Errorf("%d files may be open, %d are needed", limit.Max, need)
	}
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// idleServer tells its address, and answers each line with its footprint.
func idleServer(contender string) error {
	if err := raiseFileLimit(idleConns + 100); err != nil {
		return err
	}
	all, err := chosen("^" + contender + "$")
	if err != nil {
		return err
	}
	c, err := all[0].serve(idlePayload)
	if err != nil {
		return err
	}
	fmt.Println(c.addr)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		f, err := footprintNow()
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(f); err != nil {
			return err
		}
	}
	return lines.Err()
}

// idleClients opens connections, and has each echo a message for every line.
func idleClients(contender, addr string) error {
	if err := raiseFileLimit(idleConns + 100); err != nil {
		return err
	}
	v := idleServers[contender]
	msg, want := payload(idlePayload), idlePayload
	if v != 0 {
		var err error
		if msg, want, err = idleRequest(v); err != nil {
			return err
		}
	}
	conns := make([]net.Conn, idleConns)
	var g errgroup.Group
	g.SetLimit(32)
	for i := range conns {
		g.Go(func() error {
			// Several addresses, as one has too few ports.
			from := net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i%4))}
			c, err := (&net.Dialer{LocalAddr: &from}).Dial("tcp", addr)
			if err != nil {
				return err
			}
			conns[i] = c
			return joinIdle(c, addr, v)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	fmt.Println("open")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		for _, c := range conns {
			if err := ws.WriteFrame(c, ws.MaskFrame(ws.NewBinaryFrame(msg))); err != nil {
				return err
			}
			if err := skipFrame(c, want); err != nil {
				return err
			}
		}
		fmt.Println("echoed")
	}
	return lines.Err()
}

// joinIdle opens a connection that speaks a version, or none.
func joinIdle(c net.Conn, addr string, v protocol.Version) error {
	if v == 0 {
		return shakeHands(c, addr, "")
	}
	if err := shakeHands(c, addr, v.Token()); err != nil {
		return err
	}
	if err := skipFrame(c, 0); err != nil || v < protocol.V3_0 { // the accept-conf
		return err
	}
	hello, err := v.Append(nil, protocol.HelloBody{StreamCredit: 64 << 10, Requests: 1}.Message())
	if err != nil {
		return err
	}
	if err := ws.WriteFrame(c, ws.MaskFrame(ws.NewBinaryFrame(hello))); err != nil {
		return err
	}
	return skipFrame(c, 0) // the welcome
}

// skipFrame reads a message, whose payload is of the given size unless that is zero. It skips
// what a server sends unasked to a connection that is silent: pings, and in 3.0 acks.
func skipFrame(r io.Reader, size int) error {
	for {
		h, err := ws.ReadHeader(r)
		if err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, r, h.Length); err != nil {
			return err
		}
		switch {
		case h.OpCode.IsControl() || size > 0 && h.Length == ackLength:
		case size > 0:
			return checkReply(int(h.Length), size)
		default:
			return nil
		}
	}
}

// ackLength is the length of an ack, no reply has it.
const ackLength = 1 + 8

// idleRequest returns a request and the length of its reply.
func idleRequest(v protocol.Version) (request []byte, reply int, err error) {
	m := protocol.Message{Kind: protocol.Request, ID: protocol.NewID(1), Name: name, Payload: protocol.Bytes(payload(idlePayload))}
	request, err = v.Append(nil, m)
	if err != nil {
		return nil, 0, err
	}
	m.Kind, m.Name = protocol.Reply, ""
	b, err := v.Append(nil, m)
	return request, len(b), err
}
