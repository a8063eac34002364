package wire

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	// buffer of the socket, in bytes: what comes while the ear is busy.
	buffer = 64 << 20
	// longestPacket is that of a segment which a card would cut.
	longestPacket = 128 << 10
	loopback      = 1 // the index of the interface lo, in every network namespace
)

// Listen lets the ear hear whatever passes an interface of a network namespace, by the path
// of its file, but for its own loopback. It returns once it listens; stop ends it, and says
// how many packets were too many for it.
func (e *Ear) Listen(ctx context.Context, namespace string) (stop func() (dropped uint32, err error), err error) {
	socket, err := open(namespace)
	if err != nil {
		return nil, fmt.Errorf("listen in %s: %w", namespace, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- e.read(ctx, socket) }()
	return func() (uint32, error) {
		cancel()
		err := <-done
		stats, statsErr := unix.GetsockoptTpacketStats(socket, unix.SOL_PACKET, unix.PACKET_STATISTICS)
		if err = errors.Join(err, statsErr, unix.Close(socket)); err != nil {
			return 0, err
		}
		return stats.Drops, nil
	}, nil
}

// open makes the socket on a thread that is in the namespace, and ends with it.
func open(namespace string) (int, error) {
	type made struct {
		socket int
		err    error
	}
	done := make(chan made)
	go func() {
		runtime.LockOSThread() // not unlocked
		socket, err := openHere(namespace)
		done <- made{socket, err}
	}()
	m := <-done
	return m.socket, m.err
}

func openHere(namespace string) (int, error) {
	file, err := os.Open(namespace)
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return 0, fmt.Errorf("enter: %w", err)
	}
	const everything = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in the network's order
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, everything)
	if err != nil {
		return 0, fmt.Errorf("socket: %w", err)
	}
	period := unix.Timeval{Usec: 200_000}
	if err := errors.Join(
		unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer),
		unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &period), // looks whether it is to stop
	); err != nil {
		return 0, errors.Join(err, unix.Close(socket))
	}
	return socket, nil
}

func (e *Ear) read(ctx context.Context, socket int) error {
	packet := make([]byte, longestPacket)
	for ctx.Err() == nil {
		n, from, err := unix.Recvfrom(socket, packet, 0)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("receive: %w", err)
		}
		if at, ok := from.(*unix.SockaddrLinklayer); ok && at.Ifindex != loopback {
			e.Hear(at.Ifindex, packet[:n])
		}
	}
	return nil
}
