package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// A commit is what decides on the order of the groups.
type commit struct {
	// changed are the files that the commit changes against its first parent, and
	// those that are changed in the working tree.
	changed []string
	// turn is the commit's number on the way of first parents. A shallow clone does
	// not know it: there it is taken from the commit's hash.
	turn int
}

// readCommit reads the checked-out commit of the clone in dir.
func readCommit(ctx context.Context, dir string) (commit, error) {
	head, err := git(ctx, dir, "rev-parse", "HEAD")
	if err != nil {
		return commit{}, err
	}
	var c commit
	seen := map[string]bool{}
	// The first commit, and the oldest of a shallow clone, has no parent there.
	names := [][]string{{"diff", "--name-only", "-z", "HEAD"}, {"ls-files", "--others", "--exclude-standard", "-z"}}
	if _, err := git(ctx, dir, "rev-parse", "--verify", "--quiet", "HEAD^1"); err == nil {
		names = append(names, []string{"diff", "--name-only", "-z", "HEAD^1", "HEAD"})
	}
	for _, args := range names {
		out, err := git(ctx, dir, args...)
		if err != nil {
			return commit{}, err
		}
		for name := range strings.SplitSeq(out, "\x00") {
			if name != "" && !seen[name] {
				seen[name] = true
				c.changed = append(c.changed, name)
			}
		}
	}
	shallow, err := git(ctx, dir, "rev-parse", "--is-shallow-repository")
	if err != nil {
		return commit{}, err
	}
	number, base := head[:8], 16
	if shallow == "false" {
		if number, err = git(ctx, dir, "rev-list", "--count", "--first-parent", "HEAD"); err != nil {
			return commit{}, err
		}
		base = 10
	}
	turn, err := strconv.ParseInt(number, base, 64)
	if err != nil {
		return commit{}, fmt.Errorf("git: number of the commit: %w", err)
	}
	c.turn = int(turn)
	return c, nil
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	// CI's checkout may belong to another user, of whom git is wary.
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir, "-c", "safe.directory=*"}, args...)...)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}
