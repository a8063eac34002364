package store

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// vanished ends a connection whose server has not confirmed what was sent for
// sentTimeout, which keepalives, sent while nothing else is, do not see: tcp(7),
// TCP_USER_TIMEOUT.
func vanished(_, _ string, c syscall.RawConn) error {
	var set error
	err := c.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(sentTimeout.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return set
}
