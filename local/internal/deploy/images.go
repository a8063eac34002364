package deploy

import (
	"context"

	"github.com/alphapulse/alphapulse-infra/local/internal/images"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// archives returns the image archives that the dev stack needs.
func archives(ctx context.Context, r *progress.Reporter) ([]string, error) {
	all, err := images.Ensure(ctx, r)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, a := range all {
		files = append(files, a.Path)
	}
	return files, nil
}
