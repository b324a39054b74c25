package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"
)

// idleConns is how many connections are open while nothing happens.
const idleConns = 10000

// idleRow is what one idle connection costs its server.
type idleRow struct {
	Contender  string  `json:"contender"`
	RSS        float64 `json:"rss_kib"`
	Heap       float64 `json:"heap_kib"`
	Stack      float64 `json:"stack_kib"`
	Goroutines float64 `json:"goroutines"`
	UsedRSS    float64 `json:"used_rss_kib"` // once each connection has echoed a message
}

// runIdle measures each contender with a server process of its own. The clients
// are in a further process.
func runIdle(o options) error {
	all, err := chosen(o.only)
	if err != nil {
		return err
	}
	var rows []idleRow
	for _, c := range all {
		if _, ok := idleServers[c.name]; !ok {
			continue
		}
		progress("idle connections of %s", c.name)
		row, err := idle(c.name)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		rows = append(rows, row)
	}
	bars := idleBars(rows)
	b := fmt.Appendf(nil, "# Idle connections\n\n`make bench-idle` on %s.\n\n"+
		"What a server holds for each of %d connections, whose clients are in another process: fresh\n"+
		"from the handshake, and once it has echoed a message of %d bytes.\n\n", machine(), idleConns, idlePayload)
	t := newTable(&b, "contender", "RSS KiB", "heap KiB", "stack KiB", "goroutines", "RSS KiB, used")
	for _, r := range rows {
		t.row(r.Contender, figure(r.RSS), figure(r.Heap), figure(r.Stack), fmt.Sprintf("%.1f", r.Goroutines), figure(r.UsedRSS))
	}
	b = append(b, '\n')
	t = newTable(&b, "bar", "wanted", "measured", "")
	for _, x := range bars {
		t.row(x.Name, x.Wanted, x.Measured, x.verdict())
	}
	if _, err := os.Stdout.Write(b); err != nil || o.out == "" {
		return err
	}
	if err := writeFile(o.out, "idle.md", b); err != nil {
		return err
	}
	return writeJSON(o.out, "idle.json", struct {
		Machine string    `json:"machine"`
		Rows    []idleRow `json:"rows"`
		Bars    []bar     `json:"bars"`
	}{machine(), rows, bars})
}

func idleBars(rows []idleRow) (bars []bar) {
	for _, r := range rows {
		if r.Contender == ofDefault {
			bars = append(bars, atMost(r.Contender+": KiB of RSS per idle connection", r.RSS, mostIdle))
		}
	}
	at := func(name string) int {
		return slices.IndexFunc(rows, func(r idleRow) bool { return r.Contender == name })
	}
	if i, j := at(ofDefault), at(ofModern); i >= 0 && j >= 0 {
		bars = append(bars, atMost(ofModern+": KiB of RSS per idle connection, more than "+ofDefault, rows[j].RSS-rows[i].RSS, mostIdleMore))
	}
	return bars
}

// idle runs a server and its clients and has them tell what is measured.
func idle(contender string) (row idleRow, err error) {
	server, err := startChild(idleServerRole, contender)
	if err != nil {
		return row, err
	}
	defer server.stop()
	addr, err := server.ask("")
	if err != nil {
		return row, err
	}
	var before, after, used footprint
	if err := server.measure(&before); err != nil {
		return row, err
	}
	clients, err := startChild(idleClientRole, contender, addr)
	if err != nil {
		return row, err
	}
	defer clients.stop()
	if _, err := clients.ask(""); err != nil { // all are open
		return row, err
	}
	if err := server.measure(&after); err != nil {
		return row, err
	}
	if _, err := clients.ask("echo"); err != nil {
		return row, err
	}
	if err := server.measure(&used); err != nil {
		return row, err
	}
	each := func(now, then int64) float64 { return float64(now-then) / idleConns }
	return idleRow{
		Contender:  contender,
		RSS:        each(after.RSS, before.RSS) / 1024,
		Heap:       each(after.Heap, before.Heap) / 1024,
		Stack:      each(after.Stack, before.Stack) / 1024,
		Goroutines: each(after.Goroutines, before.Goroutines),
		UsedRSS:    each(used.RSS, before.RSS) / 1024,
	}, nil
}

// child is a process of this program in another role, which answers each line with
// a line.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startChild(args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self, args...)}
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	return c, c.cmd.Start()
}

// ask sends a line, unless it is empty, and returns the next that is answered.
func (c *child) ask(line string) (string, error) {
	if line != "" {
		if _, err := fmt.Fprintln(c.in, line); err != nil {
			return "", err
		}
	}
	answer, err := c.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("child process: %w", err)
	}
	return answer[:len(answer)-1], nil
}

func (c *child) measure(into *footprint) error {
	time.Sleep(time.Second) // what is still under way comes to rest
	answer, err := c.ask("measure")
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(answer), into)
}

func (c *child) stop() {
	c.in.Close() // the child ends then
	c.cmd.Wait()
}
