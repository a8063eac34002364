package node

import (
	"context"
	"path/filepath"

	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// clusterArchives returns the archives of the images that the cluster's own
// services run.
func clusterArchives(context.Context, *progress.Reporter) ([]string, error) {
	dir, err := paths.Cache("cluster-images")
	if err != nil {
		return nil, err
	}
	return filepath.Glob(filepath.Join(dir, "*.tar"))
}
