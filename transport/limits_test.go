package transport_test

import (
	"math"
	"testing"
	"time"

	"github.com/webwire-go/webwire/transport"
)

func TestLimitsWithDefaults(t *testing.T) {
	defaults := transport.Limits{
		MaxMessageSize: transport.DefaultMaxMessageSize,
		ReadTimeout:    transport.DefaultReadTimeout,
		WriteTimeout:   transport.DefaultWriteTimeout,
		CloseTimeout:   transport.DefaultCloseTimeout,
	}
	if got := (transport.Limits{}).WithDefaults(); got != defaults {
		t.Errorf("zero: %+v", got)
	}
	negative := transport.Limits{MaxMessageSize: -1, ReadTimeout: -1, WriteTimeout: -1, CloseTimeout: -1}
	if got := negative.WithDefaults(); got != defaults {
		t.Errorf("negative: %+v", got)
	}
	own := transport.Limits{MaxMessageSize: 1, ReadTimeout: 2, WriteTimeout: time.Hour, CloseTimeout: 4}
	if got := own.WithDefaults(); got != own {
		t.Errorf("%+v became %+v", own, got)
	}
	endless := transport.Limits{MaxMessageSize: math.MaxInt, ReadTimeout: math.MaxInt64, WriteTimeout: math.MaxInt64, CloseTimeout: math.MaxInt64}
	cut := transport.Limits{MaxMessageSize: math.MaxInt, ReadTimeout: transport.MaxTimeout, WriteTimeout: transport.MaxTimeout, CloseTimeout: transport.MaxTimeout}
	if got := endless.WithDefaults(); got != cut {
		t.Errorf("endless: %+v", got)
	}
	if got := defaults.WithDefaults(); got != defaults {
		t.Errorf("defaults became %+v", got)
	}
}
