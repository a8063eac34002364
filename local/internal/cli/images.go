package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/alphapulse/alphapulse-infra/local/internal/images"
	"github.com/alphapulse/alphapulse-infra/local/internal/node"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

func imagesCommand() *cobra.Command {
	var show bool
	c := &cobra.Command{
		Use:   "images [NAME...]",
		Short: "Make the container images and print what each is made from",
		Long: `Make the container images that the local cluster runs, where the cache does not
hold them yet, and print the table that says what each is made from and in what
it is not what a public registry has under the same name. A running cluster, or a
running Docker engine, gets those that it does not have. Images that only builds
begin with are made by 'local engine up --builds'. With names of images, only those
are made; it is the way to those that only stacks with certain settings need.

What it changes on the machine:
  - installs the Debian packages mmdebstrap and gpg where their commands are
    missing, and nodejs and npm where there is no npm; they stay
  - unpacks Debian packages, builds programs and keeps the images in the cache
    folder (~/.cache/alphapulse-infra); images that nothing has asked for in two
    weeks are removed`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, names []string) error {
			if !show {
				r, err := reporter(cmd)
				if err != nil {
					return err
				}
				ensure := images.Ensure
				if len(names) > 0 {
					ensure = func(ctx context.Context, r *progress.Reporter) ([]images.Archive, error) {
						return images.EnsureNamed(ctx, r, names...)
					}
				}
				archives, err := ensure(cmd.Context(), r)
				if err != nil {
					return err
				}
				var files []string
				for _, a := range archives {
					files = append(files, a.Path)
				}
				load := []error{node.Import(cmd.Context(), r, files), node.EngineLoad(cmd.Context(), r, archives)}
				for _, err := range load {
					// At most one of the two is there.
					if err != nil && !errors.Is(err, node.ErrNotRunning) && !errors.Is(err, node.ErrNoEngine) && !errors.Is(err, node.ErrForeign) {
						return err
					}
				}
			}
			have, err := images.Have()
			if err != nil {
				return err
			}
			return printImages(cmd.OutOrStdout(), images.Table(), have)
		},
	}
	c.Flags().BoolVar(&show, "table", false, "only print the table: make nothing, change nothing")
	return c
}

// printImages prints the table; have are the archives that exist, by name.
func printImages(w io.Writer, table []images.Image, have map[string]images.Archive) error {
	var lines, differs strings.Builder
	lines.WriteString("IMAGE\tBUILT\tFROM\n")
	for _, i := range table {
		built := "not yet"
		if i.Optional {
			built = "on demand"
		}
		if a, ok := have[i.Name]; ok {
			built = a.Version
		}
		fmt.Fprintf(&lines, "%s\t%s\t%s\n", i.Refs[0], built, i.Source)
		for _, ref := range i.Refs[1:] {
			fmt.Fprintf(&lines, "%s\tthe same\t\n", ref)
		}
		if i.Differs != "" {
			fmt.Fprintf(&differs, "  %s: %s\n", i.Refs[0], i.Differs)
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(t, lines.String()); err != nil {
		return err
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nWhere the image here is not what the registry has under that name:\n%s", differs.String())
	return err
}
