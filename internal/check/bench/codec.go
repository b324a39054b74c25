package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// codecResult is what the benchmarks of package protocol say: how much longer a
// named request of 32 bytes takes than code written by hand for it alone.
type codecResult struct {
	Benchmark string  `json:"benchmark"`
	Floors    float64 `json:"x_floor"`
	NS        float64 `json:"ns"`
	Allocs    float64 `json:"allocs"`
}

const codecRuns = 5

// codecPart runs the benchmarks of package protocol, which alone can compare with
// the floor. Go must be installed, as it is where this program is built.
func codecPart(r *report, _ effort, _ []contender) error {
	out, err := exec.Command("go", "test", "-run", "^$", "-bench", "^Benchmark(Append|Parse)$/^(1.2|2.0)$", "-benchmem",
		"-benchtime", "1000000x", "-count", strconv.Itoa(codecRuns), "github.com/webwire-go/webwire/protocol").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w:\n%s", err, out)
	}
	values := map[string]map[string][]float64{}
	var order []string
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		bench := regexp.MustCompile(`^Benchmark|-\d+$`).ReplaceAllString(fields[0], "")
		if values[bench] == nil {
			values[bench] = map[string][]float64{}
			order = append(order, bench)
		}
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return err
			}
			values[bench][fields[i+1]] = append(values[bench][fields[i+1]], v)
		}
	}
	for _, bench := range order {
		v := values[bench]
		r.codec = append(r.codec, codecResult{bench, median(v["x-floor"]), median(v["ns/op"]), median(v["allocs/op"])})
	}
	return nil
}
