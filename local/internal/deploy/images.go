package deploy

import (
	"context"

	"github.com/alphapulse/alphapulse-infra/local/internal/images"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// archivesWith returns what makes the image archives that the dev stack and the add-ons
// need.
func archivesWith(addons []string) func(ctx context.Context, r *progress.Reporter) ([]string, error) {
	return func(ctx context.Context, r *progress.Reporter) ([]string, error) {
		all, err := images.Ensure(ctx, r)
		if err != nil {
			return nil, err
		}
		files, err := addonImages(ctx, r, addons)
		if err != nil {
			return nil, err
		}
		for _, a := range all {
			files = append(files, a.Path)
		}
		return files, nil
	}
}
