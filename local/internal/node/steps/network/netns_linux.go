package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Inside runs f on a thread that is in the named network namespace.
func Inside(name string, f func() error) error {
	return onOwnThread(func(netns.NsHandle) error {
		ns, err := netns.GetFromName(name)
		if err != nil {
			return err
		}
		defer func() { _ = ns.Close() }()
		if err := netns.Set(ns); err != nil {
			return err
		}
		return f()
	})
}

// inNewNetns makes the named network namespace and runs f in the machine's own with
// a handle of it.
func inNewNetns(name string, f func(ns netns.NsHandle) error) error {
	return onOwnThread(func(machine netns.NsHandle) error {
		ns, err := netns.NewNamed(name) // also enters it
		if err != nil {
			return err
		}
		defer func() { _ = ns.Close() }()
		if err := netns.Set(machine); err != nil {
			return err
		}
		return f(ns)
	})
}

// onOwnThread runs f on a thread that may change its network namespace, and gives it
// a handle of the machine's.
func onOwnThread(f func(machine netns.NsHandle) error) error {
	runtime.LockOSThread()
	machine, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		if netns.Set(machine) == nil {
			runtime.UnlockOSThread()
		} // else the thread must not be used for anything else; it ends with its goroutine
		_ = machine.Close()
	}()
	return f(machine)
}

func removeNetns(name string) error {
	var errs []error
	path := Netns(name)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
		errs = append(errs, fmt.Errorf("unmount %s: %w", path, err))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, fmt.Errorf("network namespace: %w", err))
	}
	return errors.Join(errs...)
}
