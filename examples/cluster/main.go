// Cluster is a chat on several nodes behind a load balancer, to watch nodes die:
//
//	make run-cluster
//
// It runs three NATS servers in this process, or uses others with -nats URL, and a process
// for each node. Open http://localhost:8080 in a few tabs, talk, and type
//
//	kill 2     the process of node 2 dies
//	stop 2     node 2 shuts down gracefully
//	start 2    it starts again
//	nodes      which nodes run, and how many connections they have
//	quit
//
// The rooms go on: clients whose node is gone connect to another one, and get what they
// missed. Room.go has all that a chat needs, and nothing in it knows of nodes.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == nodeCommand {
		exit(runNode(os.Args[2:], os.Stdin, os.Stdout))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run runs a cluster until ctx ends, or the console says so.
func run(ctx context.Context, args []string, console io.Reader, out io.Writer) (err error) {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	addr := flags.String("addr", "localhost:8080", "where the load balancer listens")
	nats := flags.String("nats", "", "URLs of NATS servers, separated by commas; empty: three of its own")
	nodes := flags.Int("nodes", 3, "how many nodes to start")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, err := startCluster(*addr, *nats, 3, *nodes, out)
	if err != nil {
		return err
	}
	defer c.close()
	fmt.Fprintf(out, "cluster: http://%s   kill N, stop N, start N, nodes, quit\n", c.balancer.addr())
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(console); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, ok := <-lines:
			if !ok { // without a console it runs until it is interrupted
				<-ctx.Done()
				return nil
			}
			if line == "quit" {
				return nil
			}
			if err := c.command(line); err != nil {
				fmt.Fprintln(out, "cluster:", err)
			}
		}
	}
}
