package main

import "fmt"

// baseline is what everything is compared with in the first tables.
const baseline = "raw/tcp-callers"

func (r *report) markdown() string {
	var b []byte
	say := func(format string, args ...any) { b = fmt.Appendf(b, format, args...) }
	say("# Benchmark\n\n")
	say("`%s` on %s, in %v.\n\n", r.Command, r.Machine, r.Took)
	say("Request and reply over the loopback interface, client and server in one process, all contenders in turn,\n")
	say("medians over rounds. CPU time and allocations are those of both ends. Ratios are medians of the ratios\n")
	say("within each round. `1x64` is one connection with 64 requests in flight. In the rows with `%s` each\n", withDeadline[1:])
	say("request has a new context.WithTimeout; the other rows have no deadline, except NATS, which requires a timeout.\n\n")
	r.sayBars(&b)
	for _, size := range payloads {
		for _, sh := range shapes {
			r.sayRequests(&b, size, sh.name)
		}
	}
	r.saySignals(&b)
	r.sayStreams(&b)
	r.sayBroadcast(&b)
	r.sayTopics(&b)
	r.sayStalled(&b)
	r.sayScaling(&b)
	r.sayCodec(&b)
	r.sayRatios(&b)
	say("## Contenders\n\n")
	t := newTable(&b, "contender", "set up as")
	for _, c := range r.contenders {
		t.row(c.name, c.about)
	}
	return string(b)
}

func (r *report) sayBars(b *[]byte) {
	if len(r.bars) == 0 {
		return
	}
	*b = append(*b, "## Bars\n\n"...)
	t := newTable(b, "bar", "wanted", "measured", "")
	for _, x := range r.bars {
		t.row(x.Name, x.Wanted, x.Measured, x.verdict())
	}
	*b = append(*b, '\n')
}

func (r *report) of(payload int, shape string) []*series {
	var out []*series
	for _, s := range r.series {
		if s.payload == payload && s.shape == shape {
			out = append(out, s)
		}
	}
	return out
}

func (r *report) sayRequests(b *[]byte, payload int, shape string) {
	all := r.of(payload, shape)
	if len(all) == 0 {
		return
	}
	*b = fmt.Appendf(*b, "## Requests of %s, %s\n\n", bytesName(payload), shape)
	t := newTable(b, "contender", "req/s", "CPU µs", "allocs", "p50 µs", "p99 µs", "x "+baseline)
	base := find(all, baseline, payload, shape)
	for _, s := range all {
		t.row(s.contender, figure(s.median(rps)), figure(s.median(cpu)), fmt.Sprintf("%.1f", s.median(allocs)),
			figure(s.median(p50)), figure(s.median(p99)), times(s, base, rps))
	}
	*b = append(*b, '\n')
}

// times is the ratio of two series, or nothing if one is missing.
func times(a, of *series, by metric) string {
	if a == nil || of == nil {
		return ""
	}
	return fmt.Sprintf("%.2f", ratio(a, of, by))
}

// sayRatios compares each of ours with each other contender.
func (r *report) sayRatios(b *[]byte) {
	if len(r.of(payloads[0], shapes[0].name)) == 0 {
		return
	}
	*b = append(*b, "## Ratios\n\nRequests per second of ours, as multiples of the others'. Rows with `+ deadline` compare requests with a deadline on both sides.\n\n"...)
	head := []string{"payload, shape, contender"}
	for _, c := range webwires {
		head = append(head, c.name)
	}
	t := newTable(b, head...)
	for _, size := range payloads {
		for _, sh := range shapes {
			all := r.of(size, sh.name)
			for _, c := range r.contenders {
				if c.kind == ours {
					continue
				}
				for _, suffix := range []string{"", withDeadline} {
					other := find(all, c.name+suffix, size, sh.name)
					if other == nil {
						continue
					}
					cells := []string{fmt.Sprintf("%s, %s, %s", bytesName(size), sh.name, other.contender)}
					for _, w := range webwires {
						cells = append(cells, times(find(all, w.name+suffix, size, sh.name), other, rps))
					}
					t.row(cells...)
				}
			}
		}
	}
	*b = append(*b, '\n')
}

func (r *report) saySignals(b *[]byte) {
	all := r.of(payloads[0], signals)
	if len(all) == 0 {
		return
	}
	*b = fmt.Appendf(*b, "## Signals of %s, one way, one connection\n\n", bytesName(payloads[0]))
	*b = fmt.Appendf(*b, "Ours are sent by %d goroutines, each waiting for nothing but room.\n\n", signallers)
	t := newTable(b, "contender", "signals/s", "CPU µs", "allocs", "x "+baseline)
	base := find(all, baseline, payloads[0], signals)
	for _, s := range all {
		t.row(s.contender, figure(s.median(rps)), figure(s.median(cpu)), fmt.Sprintf("%.1f", s.median(allocs)), times(s, base, rps))
	}
	*b = append(*b, '\n')
}

func (r *report) sayStreams(b *[]byte) {
	if len(r.streams) == 0 {
		return
	}
	*b = append(*b, "## A streamed reply, one connection\n\n"...)
	*b = append(*b, "One request, whose handler sends items as fast as it can. The client counts what it has received. The rows of\n"+
		"signals are those of the same connection in the other direction, measured in the same rounds.\n\n"...)
	t := newTable(b, "contender", "item", "items/s", "MiB/s", "CPU µs", "allocs", "x grpc")
	for _, s := range r.streams {
		mib := s.median(rps) * float64(s.payload) / (1 << 20)
		t.row(s.contender, bytesName(s.payload), figure(s.median(rps)), figure(mib), figure(s.median(cpu)), fmt.Sprintf("%.1f", s.median(allocs)),
			times(s, find(r.streams, "grpc", s.payload, streams), rps))
	}
	*b = append(*b, '\n')
}

func (r *report) sayBroadcast(b *[]byte) {
	if len(r.broadcast) == 0 {
		return
	}
	*b = fmt.Appendf(*b, "## A signal of %s to %d connections\n\n", bytesName(payloads[0]), listeners)
	*b = append(*b, "A message is sent when the previous one has arrived everywhere. The receiving connections are the same for\n"+
		"all servers: they count bytes. The latency is the time until the last connection has received it.\n\n"...)
	t := newTable(b, "contender", "deliveries/s", "CPU µs", "allocs", "p50 µs", "p99 µs", "x loop of writes")
	for _, group := range fanouts {
		loop := find(r.broadcast, group[1].name, payloads[0], broadcast)
		for _, f := range group {
			if s := find(r.broadcast, f.name, payloads[0], broadcast); s != nil {
				t.row(s.contender, figure(s.median(rps)), figure(s.median(cpu)), fmt.Sprintf("%.2f", s.median(allocs)),
					figure(s.median(p50)), figure(s.median(p99)), times(s, loop, rps))
			}
		}
	}
	*b = append(*b, '\n')
	t = newTable(b, "contender", "sends by")
	for _, group := range fanouts {
		for _, f := range group {
			t.row(f.name, f.about)
		}
	}
	*b = append(*b, '\n')
}

func (r *report) sayStalled(b *[]byte) {
	if len(r.stalled) == 0 {
		return
	}
	*b = fmt.Appendf(*b, "## One connection that does not read\n\nRequests of %d others, one in flight each; the percentiles are of those of all rounds.\n\n", others)
	t := newTable(b, "contender", "p99 µs without", "p99 µs with", "ratio", "heap KiB it holds, both ends")
	for _, s := range r.stalled {
		t.row(s.Contender, figure(s.Without), figure(s.With), fmt.Sprintf("%.2f", s.Ratio), figure(s.Heap))
	}
	*b = append(*b, '\n')
}

func (r *report) sayScaling(b *[]byte) {
	if len(r.scaling) == 0 {
		return
	}
	*b = append(*b, "## More connections, one request in flight on each\n\nRequests per second, and per second of a busy core.\n\n"...)
	t := newTable(b, "contender", "connections", "req/s", "req/s per core", "p50 µs", "p99 µs")
	for i, s := range r.scaling {
		t.row(s.contender, fmt.Sprint(scales[i%len(scales)]), figure(s.median(rps)), figure(perCore(s)), figure(s.median(p50)), figure(s.median(p99)))
	}
	*b = append(*b, '\n')
}

func (r *report) sayCodec(b *[]byte) {
	if len(r.codec) == 0 {
		return
	}
	*b = append(*b, "## Codec, a named request of 32 B\n\n"...)
	t := newTable(b, "benchmark", "ns", "x floor", "allocs")
	for _, c := range r.codec {
		t.row(c.Benchmark, figure(c.NS), fmt.Sprintf("%.2f", c.Floors), figure(c.Allocs))
	}
	*b = append(*b, '\n')
}
