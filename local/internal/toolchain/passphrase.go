package toolchain

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
)

// passphrase returns the path of the file with the passphrase that encrypts the
// secrets of this clone's stacks. It is made once, from 128 random bits, and is
// readable by its owner only.
func passphrase() (string, error) {
	if _, err := paths.StateDir(); err != nil {
		return "", err
	}
	path, err := paths.State("passphrase")
	if err != nil {
		return "", err
	}
	fi, err := os.Stat(path)
	if err == nil {
		if fi.Mode().Perm()&0o077 != 0 {
			return "", fmt.Errorf("%s can be read by others (mode %o): it encrypts the stacks' secrets; chmod 600 it", path, fi.Mode().Perm())
		}
		return path, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("passphrase: %w", err)
	}
	// Written aside and linked, so that of two processes that start together one
	// wins and the other takes what the winner wrote.
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.WriteFile(tmp, []byte(rand.Text()), 0o600); err != nil {
		return "", fmt.Errorf("passphrase: %w", err)
	}
	defer func() { _ = os.Remove(tmp) }()
	if err := os.Link(tmp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("passphrase: %w", err)
	}
	return path, nil
}
