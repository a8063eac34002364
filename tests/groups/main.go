// Command groups runs the live proof, which comes in groups:
//
//	groups e2e [-keep] [GROUP,…]   the named groups, or all
//	groups ci [-budget 80m] [-elapsed 0]
//
// The second is the whole check of a commit: `make test` and the group core always,
// the others while the budget lasts, and at the end it says what did not run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := execute(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func execute(ctx context.Context, out io.Writer, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: groups e2e|ci")
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	r := &runner{root: root, local: filepath.Join(root, ".local", "bin", "local"), out: out, start: startCommand}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.BoolVar(&r.keep, "keep", false, "use a running cluster and stack and leave them running")
	budget := flags.Duration("budget", 80*time.Minute, "what everything may take")
	elapsed := flags.Int("elapsed", 0, "seconds of the budget that are gone")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	for name, value := range map[string]string{"LOCAL": r.local, "KEEP": strings.TrimPrefix(fmt.Sprint(r.keep), "false")} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	switch args[0] {
	case "e2e":
		r.logs = filepath.Join(root, ".local", "e2e")
		return e2e(ctx, r, strings.Join(flags.Args(), ","))
	case "ci":
		r.logs = filepath.Join(root, ".local", "ci")
		r.deadline = time.Now().Add(*budget - time.Duration(*elapsed)*time.Second)
		return ci(ctx, r, *budget)
	}
	return fmt.Errorf("groups %s: no such command: there are e2e and ci", args[0])
}

// e2e runs the named groups, or all.
func e2e(ctx context.Context, r *runner, names string) error {
	chosen, err := choose(groups, names, r.keep)
	if err != nil {
		return err
	}
	if err := r.vacant(ctx, chosen); err != nil {
		return err
	}
	r.run(ctx, chosen)
	return r.report(false)
}

// vacant refuses to begin on a machine whose local cluster the groups would erase.
func (r *runner) vacant(ctx context.Context, chosen []group) error {
	erases := slices.ContainsFunc(chosen, func(g group) bool { return g.shares || g.endsCluster() })
	if !r.keep && erases && r.ready(ctx) {
		return errors.New("a local cluster is running, and the tests would erase it: KEEP=1 uses it as it is, `make down` ends it")
	}
	return nil
}

// ci checks the commit within the budget.
func ci(ctx context.Context, r *runner, budget time.Duration) error {
	c, err := readCommit(ctx, r.root)
	if err != nil {
		r.printf("what the commit changes is not known: %v", err)
	}
	always := groups[slices.IndexFunc(groups, func(g group) bool { return g.name == core })]
	others := prioritise(groups, c.changed, c.turn)
	r.printf("== budget %s, of which %s are left: `make test` and the group %s always, then, while there is time:", minutes(budget), minutes(time.Until(r.deadline)), core)
	for _, g := range others {
		why := "in turn"
		if g.touched(c.changed) {
			why = "the commit changes what it proves"
		}
		r.printf("   %s (about %s): %s", g.name, minutes(g.need), why)
	}
	_ = r.step(ctx, "make test", "", nil, "make", "test")
	if err := r.step(ctx, "make local", "", nil, "make", "local"); err == nil {
		always.need = 0 // it begins however little is left
		r.run(ctx, append([]group{always}, others...))
	}
	err = r.report(true)
	if err == nil {
		r.printf("\nall green, %s of %s left", minutes(time.Until(r.deadline)), minutes(budget))
	}
	return err
}
