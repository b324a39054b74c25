package main

import (
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// metric is a series of values that wander around a mean, which rises and falls itself.
type metric struct {
	Name, Service, Title, Unit string

	mean  float64
	noise float64 // of one step, relative to the mean
	at    float64 // where the value is, relative to the mean
	phase float64 // of the mean
}

// metrics returns the forty metrics, at their beginning.
func metrics() (all []*metric) {
	for i, service := range []string{"web", "api", "search", "queue", "database"} {
		for j, m := range []metric{
			{Title: "Requests", Unit: "/s", mean: 1250, noise: 0.02},
			{Title: "Latency", Unit: "ms", mean: 38, noise: 0.05},
			{Title: "Errors", Unit: "%", mean: 0.4, noise: 0.08},
			{Title: "CPU", Unit: "%", mean: 34, noise: 0.03},
			{Title: "Memory", Unit: "MiB", mean: 900, noise: 0.004},
			{Title: "Connections", mean: 640, noise: 0.006},
			{Title: "Network", Unit: "MiB/s", mean: 48, noise: 0.03},
			{Title: "Disk", Unit: "MiB/s", mean: 12, noise: 0.06},
		} {
			m.Name, m.Service, m.phase = service+"."+strings.ToLower(m.Title), service, float64(7*i+3*j)
			all = append(all, &m)
		}
	}
	return all
}

// next returns the value at a time, a step after the one before.
func (m *metric) next(now time.Time) float64 {
	m.at += rand.NormFloat64()*m.noise - 0.03*m.at
	seconds := float64(now.UnixMilli()%86_400_000) / 1000
	tide := 0.2*math.Sin(seconds/23+m.phase) + 0.1*math.Sin(seconds/7.3+2*m.phase)
	return math.Round(100*m.mean*max(0, 1+tide+m.at)) / 100
}
