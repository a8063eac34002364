package node

import (
	"context"

	"github.com/alphapulse/alphapulse-infra/local/internal/images"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// clusterArchives returns the archives of the images that the cluster's own
// services run.
func clusterArchives(ctx context.Context, r *progress.Reporter) ([]string, error) {
	archives, err := images.EnsureCluster(ctx, r)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, a := range archives {
		files = append(files, a.Path)
	}
	return files, nil
}
