package main

import (
	"math"
	"math/rand/v2"
	"time"
)

// metric is a series of values that wander around a mean, which rises and falls itself.
type metric struct {
	Name    string  `json:"name"`
	Service string  `json:"service"`
	Title   string  `json:"title"`
	Unit    string  `json:"unit"`
	mean    float64 // of a quiet moment
	swing   float64 // how far the mean rises, relative to itself
	noise   float64 // of one step, relative to the mean
	spikes  float64 // how many there are per second
	most    float64 // zero: no limit

	at    float64 // where the value is, relative to the mean
	spike float64 // what is left of the last one
	phase float64
}

// metrics returns the forty metrics, at their beginning.
func metrics() (all []*metric) {
	for i, service := range []string{"web", "api", "search", "queue", "database"} {
		scale := []float64{1, 0.8, 0.35, 0.5, 1.6}[i]
		for j, m := range []metric{
			{Name: "requests", Title: "Requests", Unit: "/s", mean: 1250 * scale, swing: 0.5, noise: 0.02, spikes: 0.02},
			{Name: "latency", Title: "Latency, p99", Unit: "ms", mean: 38 / scale, swing: 0.25, noise: 0.05, spikes: 0.06},
			{Name: "errors", Title: "Errors", Unit: "%", mean: 0.4, swing: 0.3, noise: 0.08, spikes: 0.03, most: 100},
			{Name: "cpu", Title: "CPU", Unit: "%", mean: 34 + 20*scale, swing: 0.4, noise: 0.03, spikes: 0.02, most: 100},
			{Name: "memory", Title: "Memory", Unit: "MiB", mean: 900 * scale, swing: 0.12, noise: 0.002},
			{Name: "connections", Title: "Connections", Unit: "", mean: 640 * scale, swing: 0.35, noise: 0.006},
			{Name: "network", Title: "Network", Unit: "MiB/s", mean: 48 * scale, swing: 0.5, noise: 0.03, spikes: 0.03},
			{Name: "disk", Title: "Disk writes", Unit: "MiB/s", mean: 12 * scale, swing: 0.3, noise: 0.06, spikes: 0.1},
		} {
			m.Name, m.Service, m.phase = service+"."+m.Name, service, float64(7*i+3*j)
			all = append(all, &m)
		}
	}
	return all
}

// next returns the value at a time, a step after the one before.
func (m *metric) next(now time.Time) float64 {
	const back, fade = 0.03, 0.93 // per step
	m.at += rand.NormFloat64()*m.noise - m.at*back
	m.spike *= fade
	if rand.Float64() < m.spikes*interval.Seconds() {
		m.spike += 0.2 + 0.6*rand.Float64()
	}
	seconds := float64(now.UnixMilli()%86_400_000) / 1000
	tide := math.Sin(seconds/23+m.phase) + 0.4*math.Sin(seconds/7.3+2*m.phase)
	v := m.mean * max(0, 1+m.swing*tide/2+m.at+m.spike)
	if m.most > 0 {
		v = min(v, m.most)
	}
	return math.Round(v*100) / 100
}
