package coder_test

import (
	"testing"

	"github.com/webwire-go/webwire/internal/wstest"
)

func BenchmarkRequest(b *testing.B) { wstest.Benchmark(b, suite) }
