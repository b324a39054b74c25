package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

type side struct {
	name  string
	conns []*client.Client
}

func mk(name string, v protocol.Version, window time.Duration, n int, to ...time.Duration) side {
	rt := time.Duration(0)
	if len(to) > 0 { rt = to[0] }
	s := server.New(server.Options{Upgrader: websocket.Upgrader{}, ResumeWindow: window, Hooks: server.Hooks{
		OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil },
	}})
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	go http.Serve(l, s)
	out := side{name: name}
	for range n {
		c := client.New(websocket.Dialer{URL: "ws://" + l.Addr().String()}, client.Options{Versions: []protocol.Version{v}, Timeout: rt})
		if err := c.Connect(context.Background()); err != nil {
			panic(err)
		}
		out.conns = append(out.conns, c)
	}
	return out
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(0, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (s side) run(depth int, d time.Duration) (rps, cpuPer float64) {
	var stop atomic.Bool
	var n atomic.Int64
	var wg sync.WaitGroup
	p := protocol.Bytes(make([]byte, 32))
	c0, t0 := cpu(), time.Now()
	for _, c := range s.conns {
		for range depth {
			wg.Go(func() {
				k := int64(0)
				for !stop.Load() {
					if _, err := c.Request(context.Background(), "echo", p); err != nil {
						panic(err)
					}
					k++
				}
				n.Add(k)
			})
		}
	}
	time.Sleep(d)
	stop.Store(true)
	wg.Wait()
	el := time.Since(t0)
	return float64(n.Load()) / el.Seconds(), float64(cpu()-c0) / float64(n.Load())
}

func main() {
	conns := flag.Int("conns", 1, "")
	depth := flag.Int("depth", 64, "")
	rounds := flag.Int("rounds", 20, "")
	each := flag.Duration("each", 200*time.Millisecond, "")
	prof := flag.String("prof", "", "")
	which := flag.String("which", "", "")
	flag.Parse()
	all := []side{mk("2.0", protocol.V2_0, -1, *conns), mk("3.0-", protocol.V3_0, -1, *conns), mk("3.0+", protocol.V3_0, 0, *conns), mk("2.0t", protocol.V2_0, -1, *conns, -1), mk("3.0t", protocol.V3_0, -1, *conns, -1)}
	if *which != "" {
		all = slices.DeleteFunc(all, func(s side) bool { return s.name != *which })
	}
	rps := make([][]float64, len(all))
	cp := make([][]float64, len(all))
	for r := range *rounds + 1 {
		for k := range all {
			i := (k + r) % len(all)
			if *prof != "" && r > 0 {
				f, _ := os.Create(fmt.Sprintf("%s.%s.%d", *prof, all[i].name, r))
				pprof.StartCPUProfile(f)
			}
			a, b := all[i].run(*depth, *each)
			pprof.StopCPUProfile()
			if r == 0 {
				continue
			}
			rps[i] = append(rps[i], a)
			cp[i] = append(cp[i], b)
		}
	}
	med := func(x []float64) float64 { x = slices.Clone(x); slices.Sort(x); return x[len(x)/2] }
	rat := func(a, b []float64) float64 {
		var q []float64
		for i := range a {
			q = append(q, a[i]/b[i])
		}
		return med(q)
	}
	for i, s := range all {
		fmt.Printf("%-5s rps %8.0f (%.3f)  cpu %7.0f ns (%.3f)\n", s.name, med(rps[i]), rat(rps[i], rps[0]), med(cp[i]), rat(cp[i], cp[0]))
	}
}
