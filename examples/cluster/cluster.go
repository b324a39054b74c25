package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// cluster is NATS, nodes and a balancer.
type cluster struct {
	out      io.Writer
	nats     *natsServers // nil: they run elsewhere
	natsURL  string
	balancer *balancer

	mu    sync.Mutex
	nodes []*process // nil: it is not running
}

// process is the process of a node.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	addr   string
	exited chan struct{}
}

// startCluster starts nodes behind a balancer that listens at addr. Without natsURL it
// starts NATS servers too.
func startCluster(addr, natsURL string, servers, nodes int, out io.Writer) (_ *cluster, err error) {
	c := &cluster{out: out, natsURL: natsURL, nodes: make([]*process, nodes)}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if natsURL == "" {
		if c.nats, err = startNATS(servers); err != nil {
			return nil, err
		}
		c.natsURL = c.nats.urls()
	}
	if c.balancer, err = startBalancer(addr); err != nil {
		return nil, err
	}
	errs := make([]error, nodes)
	var starting sync.WaitGroup
	for i := range nodes {
		starting.Go(func() { errs[i] = c.start(i) })
	}
	starting.Wait()
	return c, errors.Join(errs...)
}

// command does what a line of the console says.
func (c *cluster) command(line string) error {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil
	}
	if words[0] == "nodes" {
		c.list()
		return nil
	}
	do := map[string]func(int) error{"kill": c.kill, "stop": c.stop, "start": c.start}[words[0]]
	if do == nil || len(words) != 2 {
		return fmt.Errorf("%q is not kill N, stop N, start N, nodes or quit", line)
	}
	n, err := strconv.Atoi(words[1])
	if err != nil || n < 1 || n > len(c.nodes) {
		return fmt.Errorf("there is no node %s", words[1])
	}
	if err := do(n - 1); err != nil {
		return fmt.Errorf("node %d: %w", n, err)
	}
	return nil
}

// start starts the process of a node, and returns when it serves.
func (c *cluster) start(i int) error {
	if c.node(i) != nil {
		return errors.New("it is running")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, nodeCommand, "-name", strconv.Itoa(i+1), "-nats", c.natsURL)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	p := &process{cmd: cmd, stdin: stdin, addr: strings.TrimSpace(line), exited: make(chan struct{})}
	go func() {
		defer close(p.exited)
		_ = cmd.Wait() // it says itself why it failed
		c.gone(i, p)
	}()
	if err != nil {
		<-p.exited
		return errors.New("its process does not start")
	}
	c.mu.Lock()
	c.nodes[i] = p
	c.mu.Unlock()
	c.balancer.add(p.addr)
	fmt.Fprintf(c.out, "node %d: running at %s\n", i+1, p.addr)
	select {
	case <-p.exited: // already
		c.gone(i, p)
	default:
	}
	return nil
}

// gone notes that the process of a node has ended.
func (c *cluster) gone(i int, p *process) {
	c.balancer.remove(p.addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nodes[i] == p {
		c.nodes[i] = nil
		fmt.Fprintf(c.out, "node %d: ended\n", i+1)
	}
}

func (c *cluster) node(i int) *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[i]
}

var errNotRunning = errors.New("it is not running")

// kill ends the process of a node as a crash does.
func (c *cluster) kill(i int) error {
	p := c.node(i)
	if p == nil {
		return errNotRunning
	}
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	<-p.exited
	return nil
}

// stop ends a node gracefully: its clients move to other nodes first.
func (c *cluster) stop(i int) error {
	p := c.node(i)
	if p == nil {
		return errNotRunning
	}
	c.balancer.remove(p.addr)
	if err := p.stdin.Close(); err != nil {
		return err
	}
	<-p.exited
	return nil
}

// list prints the nodes.
func (c *cluster) list() {
	web := http.Client{Timeout: 2 * time.Second}
	for i := range c.nodes {
		p := c.node(i)
		if p == nil {
			fmt.Fprintf(c.out, "node %d: not running\n", i+1)
			continue
		}
		var s status
		resp, err := web.Get("http://" + p.addr + "/status")
		if err == nil {
			err = json.NewDecoder(resp.Body).Decode(&s)
			resp.Body.Close()
		}
		if err != nil {
			fmt.Fprintf(c.out, "node %d: running at %s, and does not answer\n", i+1, p.addr)
			continue
		}
		fmt.Fprintf(c.out, "node %d: running at %s, process %d, %d connections, %d rooms, %d errors of the engine\n",
			i+1, p.addr, p.cmd.Process.Pid, s.Open, s.Topics, s.Errors)
	}
}

// close ends everything.
func (c *cluster) close() {
	var stopping sync.WaitGroup
	for i := range c.nodes {
		if c.node(i) != nil {
			stopping.Go(func() { _ = c.kill(i) }) // it may have ended by itself
		}
	}
	stopping.Wait()
	if c.balancer != nil {
		c.balancer.close()
	}
	if c.nats != nil {
		c.nats.close()
	}
}
