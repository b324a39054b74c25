package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// natsServers are NATS servers in this process, with their files in a temporary directory.
type natsServers struct {
	all []*server.Server
	dir string
}

// startNATS starts n NATS servers with JetStream.
func startNATS(n int) (_ *natsServers, err error) {
	s := &natsServers{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "webwire-cluster"); err != nil {
		return nil, err
	}
	routes, err := freeAddrs(n)
	if err != nil {
		return nil, err
	}
	for i := range n {
		o := &server.Options{
			ServerName: fmt.Sprint("nats-", i+1), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
			JetStream: true, StoreDir: filepath.Join(s.dir, fmt.Sprint(i+1)),
		}
		if n > 1 {
			o.Cluster = server.ClusterOpts{Name: "cluster", Host: "127.0.0.1", Port: routes[i].Port}
			for _, other := range routes {
				if other != routes[i] {
					o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: other.String()})
				}
			}
		}
		ns, err := server.NewServer(o)
		if err != nil {
			return nil, err
		}
		s.all = append(s.all, ns)
		go ns.Start()
	}
	for _, ns := range s.all {
		if !ns.ReadyForConnections(30 * time.Second) {
			return nil, errors.New("a NATS server does not start")
		}
	}
	return s, nil
}

// freeAddrs returns addresses on which nobody listens.
func freeAddrs(n int) (addrs []*net.TCPAddr, err error) {
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close() // not before all are chosen
		addrs = append(addrs, ln.Addr().(*net.TCPAddr))
	}
	return addrs, nil
}

// urls returns where the servers are, as natsengine.Options.URL.
func (s *natsServers) urls() string {
	var urls []string
	for _, ns := range s.all {
		urls = append(urls, ns.ClientURL())
	}
	return strings.Join(urls, ",")
}

func (s *natsServers) close() {
	for _, ns := range s.all {
		ns.Shutdown()
	}
	for _, ns := range s.all {
		ns.WaitForShutdown()
	}
	_ = os.RemoveAll(s.dir) // it is in the directory for temporary files
}
