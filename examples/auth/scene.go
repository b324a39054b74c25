package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// scene plays everything with two devices of one user and a server at addr, and checks each
// step.
func scene(ctx context.Context, addr string, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "webwire-auth-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	step := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }

	people := &users{} // the database: it outlives the server
	s, err := start(addr, filepath.Join(dir, "sessions"), people)
	if err != nil {
		return err
	}
	defer func() {
		if s != nil {
			err = errors.Join(err, s.stop(context.WithoutCancel(ctx)))
		}
	}()
	step("server:  started, sessions are kept in files")

	phoneKey, laptopKey := filepath.Join(dir, "phone.key"), filepath.Join(dir, "laptop.key")
	phone, laptop := newDevice(s.addr, "phone", phoneKey), newDevice(s.addr, "laptop", laptopKey)
	defer func() { phone.Close(); laptop.Close() }()

	password := rand.Text()
	if _, err := phone.login(ctx, "register", "ann", password); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	step("phone:   ann registered, and is signed in")
	if _, err := laptop.login(ctx, "login", "ann", "guess"); !errors.Is(err, errWrong) {
		return fmt.Errorf("a wrong password: %w", err)
	}
	step("laptop:  a wrong password is refused")
	if _, err := laptop.login(ctx, "login", "ann", password); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	step("laptop:  ann signed in with her password")
	if err := expect(ctx, phone, "laptop phone"); err != nil {
		return err
	}
	step("phone:   ann is signed in on her laptop and her phone")

	if err := laptop.Close(); err != nil {
		return err
	}
	laptop = newDevice(s.addr, "laptop", laptopKey)
	if err := laptop.Connect(ctx); err != nil {
		return err
	}
	if err := expect(ctx, laptop, "laptop phone"); err != nil {
		return err
	}
	step("laptop:  the program was restarted: ann is signed in, without a password")

	addr = s.addr
	err = s.stop(ctx)
	s = nil
	if err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	if s, err = start(addr, filepath.Join(dir, "sessions"), people); err != nil {
		return err
	}
	step("server:  restarted")
	for _, d := range []*device{phone, laptop} {
		if err := d.Connect(ctx); err != nil {
			return err
		}
	}
	for _, d := range []*device{phone, laptop} {
		if err := expect(ctx, d, "laptop phone"); err != nil {
			return err
		}
		step("%-8s connected again: ann is signed in", d.name+":")
	}

	if err := phone.logout(ctx); err != nil {
		return fmt.Errorf("logout: %w", err)
	}
	step("phone:   ann signs out on all her devices")
	for _, d := range []*device{phone, laptop} {
		select {
		case <-d.closed:
		case <-ctx.Done():
			return fmt.Errorf("%s does not learn that ann signed out: %w", d.name, ctx.Err())
		}
		if _, err := d.whoami(ctx); !errors.Is(err, errSignedOut) {
			return fmt.Errorf("%s: signed out, and yet: %w", d.name, err)
		}
		step("%-8s nobody is signed in", d.name+":")
	}
	if err := phone.Close(); err != nil {
		return err
	}
	if _, err := os.Stat(phoneKey); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the key of the session was not removed: %w", err)
	}
	step("phone:   the program was ended, and left no key behind")
	return nil
}

// expect checks that a device is signed in as ann, and that ann has these devices.
func expect(ctx context.Context, d *device, devices string) error {
	who, err := d.whoami(ctx)
	if err != nil {
		return fmt.Errorf("%s: whoami: %w", d.name, err)
	}
	if known, ok := d.signedIn(); !ok || known != who || who != (identity{"ann", d.name}) {
		return fmt.Errorf("%s: the server says %v, the client %v", d.name, who, known)
	}
	names, err := d.devices(ctx)
	if err != nil {
		return fmt.Errorf("%s: devices: %w", d.name, err)
	}
	if got := strings.Join(names, " "); got != devices {
		return fmt.Errorf("%s: devices are %q, want %q", d.name, got, devices)
	}
	return nil
}
